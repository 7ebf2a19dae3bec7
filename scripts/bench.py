#!/usr/bin/env python3
"""Measures mbn against PyTorch and against itself: throughput, memory, start-up time; writes every measurement and the tables.

Programs are measured in alternation, A B, then B A, round by round, each in a process of its own. Results are medians of the
ratios within a round, so that noise and drift of the machine affect both alike. Run it on an otherwise idle machine (some 20
minutes). It can be stopped at any point; the same command continues it.

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
    p.add_argument("--out", type=pathlib.Path, required=True, metavar="DIR", help="folder for measurements and tables")
    p.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="parts to measure [default: all]")
    p.add_argument("--mbn", default=str(HERE.parent / "target/release/mbn"), help="the program [default: target/release/mbn]")
    p.add_argument("--models", nargs="+", help="[default: resnet20 lenet]")
    p.add_argument("--norms", nargs="+", help="against PyTorch [default: bn mbn mbn-df, where there is a target]")
    p.add_argument("--batch-sizes", nargs="+", type=int, help="[default: 1 2 8 32 128, where there is a target]")
    p.add_argument("--rounds", type=int, default=5, help="rounds against PyTorch [default: %(default)s]")
    p.add_argument("--seconds", type=float, default=1.0, help="seconds per measurement there [default: %(default)s]")
    p.add_argument("--self-rounds", type=int, default=10, help="rounds against itself [default: %(default)s]")
    p.add_argument("--self-seconds", type=float, default=0.5, help="seconds per measurement there [default: %(default)s]")
    p.add_argument("--profile-seconds", type=float, default=2.0, help="seconds per profile [default: %(default)s]")
    a = p.parse_args()
    if not pathlib.Path(a.mbn).is_file():
        p.error(f"{a.mbn} does not exist: build it with `cargo build --release`, or give its path with --mbn")
    if importlib.util.find_spec("torch") is None:
        p.error(f"{sys.executable} has no PyTorch: pip install -r scripts/requirements.txt")
    return a


class Progress:
    """One line per step on stderr, with an estimate of the time left."""

    def __init__(self, steps):
        self.left, self.done, self.begun = steps, 0, time.monotonic()

    def skip(self):
        self.left -= 1

    def show(self, text):
        self.left, self.done = self.left - 1, self.done + 1
        minutes = (time.monotonic() - self.begun) / self.done * self.left / 60
        print(f"{text}  ({minutes:.0f} min left in this part)", file=sys.stderr)


def write_tables(a, parts):
    """Writes the tables of everything measured so far, in this call or before."""
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
