#!/usr/bin/env python3
"""Measures what each normalizer costs relative to bn, what it keeps, and whether it accepts batch size 1; writes CSV and a table.

Each normalizer is measured right after or before a bn of its own, in alternation, each in a process of its own. Results are
medians of the ratios within a round, so that noise and drift of the machine affect both alike. Run it on an otherwise idle
machine (a quarter of an hour). It can be stopped at any point; the same command continues it.

    cargo build --release
    python3 scripts/bench_norms.py --out results/bench-norms
"""
import argparse, csv, json, pathlib, statistics, struct, subprocess, sys, tempfile

import bench_machine
from bench_measure import Log, measured, output
from bench_plan import Cell
from bench_table import table

HERE = pathlib.Path(__file__).resolve().parent
NETWORK, LAYER, CHANNELS = "resnet20", "bn1.", 16
# Only these are compared with the target; the others have further operations or process images one by one.
ARITHMETIC_OF_BN = "mbn mabn brn momentum-bn hybrid estbn deferred stochnorm gn ln in frn iebn".split()
TARGET = 1.10


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", type=pathlib.Path, required=True, metavar="DIR", help="folder for measurements and tables")
    p.add_argument("--mbn", default=str(HERE.parent / "target/release/mbn"), help="the program [default: target/release/mbn]")
    p.add_argument("--batch-sizes", nargs="+", type=int, default=[2, 32], help="[default: 2 32]")
    p.add_argument("--rounds", type=int, default=7, help="[default: %(default)s]")
    p.add_argument("--seconds", type=float, default=0.5, help="seconds per measurement [default: %(default)s]")
    return p.parse_args()


def bench(a, model, norm, batch_size, seconds):
    """Images per second; none where the normalizer refuses the batch."""
    return measured(Cell("mbn", model, norm, batch_size), a.mbn, seconds)["images_per_s"]


def every_norm(a):
    """The normalizers in the program's order, and which of them have Double-Forward."""
    listed = output([a.mbn, *"bench --models mlp --norms all --batch-sizes 2 --seconds 0.001".split()])
    names = [row["norm"] for row in csv.DictReader(listed.splitlines())]
    return {name: f"{name}-df" in names for name in names if not name.endswith("-df")}


def kept(a, norm):
    """Values per channel that a layer has in a checkpoint besides scale and shift: state, and other parameters."""
    with tempfile.TemporaryDirectory() as folder:
        flags = f"train --dataset shapes --model resnet8 --epochs 1 --train-limit 400 --test-limit 10 --json --norm {norm}"
        flags += f" --batch-size 2 --threads 1 --out {folder}"
        run = json.loads(output([a.mbn, *flags.split()]))["run"]
        with (pathlib.Path(folder) / run / "last.safetensors").open("rb") as f:
            (length,) = struct.unpack("<Q", f.read(8))
            header = json.loads(f.read(length))
    parameters = {LAYER + "weight", LAYER + "bias"}
    tensors = [t for name, t in header.items() if name.startswith(LAYER) and name not in parameters]
    return sum((t["data_offsets"][1] - t["data_offsets"][0]) // 4 for t in tensors) / CHANNELS


def measure_costs(a, norms):
    log = Log(a.out / "runs.csv", lambda row: (int(row["round"]), row["norm"], int(row["batch_size"])))
    names = [name for norm, doubled in norms.items() for name in [norm] + [f"{norm}-df"] * doubled if name != "bn"]
    for turn in range(a.rounds):
        print(f"round {turn + 1} of {a.rounds}", file=sys.stderr)
        for name in names:
            for size in a.batch_sizes:
                if (turn, name, size) in log.rows:
                    continue
                pair = ["bn", name] if turn % 2 == 0 else [name, "bn"]
                rate = {norm: bench(a, NETWORK, norm, size, a.seconds) for norm in pair}
                row = {"round": turn, "network": NETWORK, "norm": name, "batch_size": size}
                log.put({**row, "bn_images_per_s": rate["bn"], "images_per_s": rate[name]})
    return log


def describe(a, norms):
    log = Log(a.out / "norms.csv", lambda row: row["norm"])
    for norm, doubled in norms.items():
        if norm not in log.rows:
            row = {"norm": norm, "forward_passes": "1 or 2" if doubled else "1"}
            row["kept_per_channel"] = f"{kept(a, norm):g}"
            for what, model in (("maps_at_batch_1", "resnet8"), ("one_value_per_channel", "lenet")):
                row[what] = "yes" if bench(a, model, norm, 1, 0.001) else "no"
            log.put(row)
    return log


def write_table(a, costs, norms):
    """Writes throughput relative to bn: the median over rounds, with the lowest and the highest."""
    rows = []
    for norm, row in norms.rows.items():
        cells = [f"`{norm}`", row["kept_per_channel"], row["forward_passes"]]
        cells += [row["maps_at_batch_1"], row["one_value_per_channel"]]
        for name in (norm, f"{norm}-df"):
            for size in a.batch_sizes:
                mine = [r for (_, n, b), r in costs.rows.items() if (n, b) == (name, size)]
                ratios = [float(r["images_per_s"]) / float(r["bn_images_per_s"]) for r in mine]
                median = statistics.median(ratios) if ratios else 1.0
                spread = f" ({min(ratios):.2f}–{max(ratios):.2f})" if ratios else ""
                missed = norm in ARITHMETIC_OF_BN and name == norm and round(1 / median, 2) > TARGET
                cells.append(f"{median:.2f}{spread}{' *' * missed}" if ratios or name == "bn" else "")
        rows.append(cells)
    sizes = a.batch_sizes
    head = ["method", "values kept per channel", "forward passes per update"]
    head += ["batch size 1 on maps", "one value per channel", *(f"throughput / `bn`, batch {s}" for s in sizes)]
    head += [f"with Double-Forward, batch {s}" for s in sizes]
    note = f"`*`: more than {TARGET:.2f} times as long as bn's step, although its arithmetic is mostly bn's.\n"
    machine = (a.out / "machine.txt").read_text()
    text = f"# What normalizers cost and keep\n\n```\n{machine}```\n\n{NETWORK}, one thread, n = {1 + max(turn for turn, _, _ in costs.rows)}.\n\n{table(head, rows)}\n{note}"
    (a.out / "table.md").write_text(text)


def main():
    a = arguments()
    a.out.mkdir(parents=True, exist_ok=True)
    bench_machine.start_record(a.out / "machine.txt", a.mbn)
    norms = every_norm(a)
    write_table(a, measure_costs(a, norms), describe(a, norms))
    print((a.out / "table.md").read_text())


if __name__ == "__main__":
    main()
