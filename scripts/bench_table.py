"""The tables of `bench.py`, in Markdown, from its CSV files."""
import statistics

from bench_plan import HELP, LARGE, SMALL


def mark(reached):
    return {True: "yes", False: "**no**", None: ""}[reached]


def table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def spread(values, digits):
    """Median, lowest, highest and number of values, as cells."""
    if not values:
        return ["", "", "", "0"]
    return [*(f"{f(values):.{digits}f}" for f in (statistics.median, min, max)), str(len(values))]


def rates(log, comparisons):
    """One table per title: medians over rounds of the ratios within a round."""
    rate = {key: float(row["images_per_s"]) for key, row in log.rows.items() if row["images_per_s"]}
    rounds = sorted({turn for turn, _ in log.rows})
    text = ""
    for title in dict.fromkeys(c.title for c in comparisons):
        rows = []
        for c in (c for c in comparisons if c.title == title):
            pairs = [(rate[t, c.over], rate[t, c.under]) for t in rounds if (t, c.over) in rate and (t, c.under) in rate]
            ratios = [over / under for over, under in pairs]
            absolute = [f"{statistics.median(values):.0f}" for values in zip(*pairs)] or ["", ""]
            reached = mark(c.reached(statistics.median(ratios)) if ratios else None)
            name = [c.under.model, c.under.norm, str(c.under.batch_size)]
            rows.append([*name, *spread(ratios, 2), *absolute, c.target(), reached])
        over, under = (label(cell, other) for cell, other in ((c.over, c.under), (c.under, c.over)))
        head = ["model", "norm", "batch", "ratio", "lowest", "highest", "n", f"{over}, images/s", f"{under}, images/s"]
        text += f"## {title}\n\n{table([*head, 'target', 'reached'], rows)}\n"
    return text


def label(cell, other):
    """The value in which a cell differs from the other one."""
    (field,) = (f for f in ("program", "norm", "threads", "work") if getattr(cell, f) != getattr(other, f))
    value = getattr(cell, field)
    return f"threads {value}" if field == "threads" else value


def processes(log):
    """Start-up time and peak memory of processes."""
    values = {}
    for (what, program, batch_size, _), row in log.rows.items():
        values.setdefault((what, program, batch_size), []).append(float(row["value"]))
    return start(values) + memory(values)


def start(values):
    ours, least = (values.get(("start", program, 0), []) for program in ("mbn --help", "true"))
    reached = mark(statistics.median(ours) <= HELP) if ours else ""
    rows = [["`mbn --help`", *spread(ours, 1), f"≤ {HELP}", reached], ["`true`", *spread(least, 1), "", ""]]
    return f"## Start\n\n{table(['program', 'ms', 'lowest', 'highest', 'n', 'target', 'reached'], rows)}\n"


def memory(values):
    """Peak memory of the process, and of a step: the difference between the larger and the smaller batch."""
    peaks = [[statistics.median(values.get(("peak memory", p, b), [0])) for b in (SMALL, LARGE)] for p in ("mbn", "torch")]
    if not all(map(all, peaks)):
        return ""
    (small, large), (their_small, their_large) = peaks
    rows = []
    for name, ours, theirs, judged in (
        (f"process, batch size {SMALL}", small, their_small, False),
        (f"process, batch size {LARGE}", large, their_large, True),
        (f"step: {LARGE} minus {SMALL}", large - small, their_large - their_small, True),
    ):
        judgement = ["< 1", mark(ours < theirs)] if judged else ["", ""]
        rows.append([name, f"{ours:.0f}", f"{theirs:.0f}", f"{ours / theirs:.2f}", *judgement])
    head = ["resnet20, bn", "mbn, MiB", "PyTorch, MiB", "ratio", "target", "reached"]
    return f"## Peak memory\n\n{table(head, rows)}\n"
