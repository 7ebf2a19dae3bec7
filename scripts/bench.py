#!/usr/bin/env python3
"""mbn against PyTorch and against itself: rates, memory, start; one folder with every measurement and the tables.

What is compared is measured in turn, A B, then B A, round by round, each a process of its own, and judged by the median
of the ratios within a round: noise and drift of a machine hit both alike.  Run it on a machine that does nothing else
(some 20 minutes).  Stopped at any point it has lost nothing; the same command continues it.

    cargo build --release
    python3 -m venv .venv && .venv/bin/pip install -r scripts/requirements.txt
    .venv/bin/python scripts/bench.py --out results/bench
"""
import argparse, importlib.util, pathlib, sys, time

import bench_machine, bench_measure, bench_plan, bench_table

HERE = pathlib.Path(__file__).resolve().parent
PARTS = ["pytorch", "self", "processes", "profile"]


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", type=pathlib.Path, required=True, metavar="DIR", help="folder for everything measured")
    p.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what to do [default: all]")
    p.add_argument("--mbn", default=str(HERE.parent / "target/release/mbn"), help="the program")
    p.add_argument("--models", nargs="+", help="[default: resnet20 lenet]")
    p.add_argument("--norms", nargs="+", help="against PyTorch [default: bn mbn mbn-df, where there is a target]")
    p.add_argument("--batch-sizes", nargs="+", type=int, help="[default: 1 2 8 32 128, where there is a target]")
    p.add_argument("--rounds", type=int, default=5, help="against PyTorch [default: %(default)s]")
    p.add_argument("--seconds", type=float, default=1.0, help="per measurement there [default: %(default)s]")
    p.add_argument("--self-rounds", type=int, default=10, help="against itself [default: %(default)s]")
    p.add_argument("--self-seconds", type=float, default=0.5, help="per measurement there [default: %(default)s]")
    p.add_argument("--profile-seconds", type=float, default=2.0, help="per profile [default: %(default)s]")
    a = p.parse_args()
    if not pathlib.Path(a.mbn).is_file():
        p.error(f"no program {a.mbn}: build it with `cargo build --release`, or say where it is with --mbn")
    if importlib.util.find_spec("torch") is None:
        p.error(f"{sys.executable} has no PyTorch: pip install -r scripts/requirements.txt")
    return a


class Progress:
    """One line per step on stderr, with the time left at the speed so far."""

    def __init__(self, steps):
        self.left, self.done, self.begun = steps, 0, time.monotonic()

    def skip(self):
        self.left -= 1

    def show(self, text):
        self.left, self.done = self.left - 1, self.done + 1
        minutes = (time.monotonic() - self.begun) / self.done * self.left / 60
        print(f"{text}  ({minutes:.0f} min left in this part)", file=sys.stderr)


def write_tables(a, parts):
    """All that was measured so far, in this call or before."""
    machine = (a.out / "machine.txt").read_text()
    text = f"# mbn measured\n\n```\n{machine}```\n\n"
    for part in parts:
        log = bench_measure.rates_log(a.out / part.file)
        text += bench_table.rates(log, part.comparisons)
    text += bench_table.processes(bench_measure.processes_log(a.out / "processes.csv"))
    (a.out / "table.md").write_text(text)


def main():
    a = arguments()
    a.out.mkdir(parents=True, exist_ok=True)
    bench_machine.start_record(a.out / "machine.txt", a.mbn)
    pytorch = bench_plan.against_pytorch(a.models, a.norms, a.batch_sizes, a.rounds, a.seconds)
    within = bench_plan.within(a.models, a.batch_sizes, a.self_rounds, a.self_seconds)
    try:
        for name, part in (("pytorch", pytorch), ("self", within)):
            if name in a.parts:
                log = bench_measure.rates_log(a.out / part.file)
                bench_measure.measure_rates(log, part, a.mbn, Progress(part.rounds * len(part.chains)))
        if "processes" in a.parts:
            log = bench_measure.processes_log(a.out / "processes.csv")
            bench_measure.measure_processes(log, bench_plan.MEMORY, a.mbn, Progress(bench_measure.REPEATS))
        if "profile" in a.parts:
            bench_measure.measure_profiles(a.out / "profile.txt", a.mbn, bench_plan.PROFILES, a.profile_seconds)
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command continues")
    finally:
        write_tables(a, [pytorch, within])
    print((a.out / "table.md").read_text())


if __name__ == "__main__":
    main()
