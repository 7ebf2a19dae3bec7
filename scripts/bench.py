#!/usr/bin/env python3
"""mbn against PyTorch, training throughput, in turn.

Runs `mbn bench` and `torch_baseline.py` cell by cell, A B A B ..., several rounds, so that a noisy machine hits both
alike; writes every measurement to a CSV file and prints the median of the ratios per cell as a Markdown table.

    python3 -m venv .venv && .venv/bin/pip install torch numpy
    .venv/bin/python scripts/bench.py --out results/bench.csv --rounds 5
"""
import argparse, csv, pathlib, statistics, subprocess, sys

HERE = pathlib.Path(__file__).resolve().parent


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--mbn", default=str(HERE.parent / "target/release/mbn"), help="the program")
    p.add_argument("--models", nargs="+", default=["resnet20", "lenet"])
    p.add_argument("--norms", nargs="+", default=["bn", "mbn", "mbn-df"])
    p.add_argument("--batch-sizes", nargs="+", default=["1", "2", "8", "32", "128"])
    p.add_argument("--threads", default="1")
    p.add_argument("--seconds", default="2", help="per measurement")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--out", type=pathlib.Path, required=True, help="CSV of every measurement")
    return p.parse_args()


def measure(command, model, norm, batch_size, a):
    """The row of one cell, its rate empty where the program refuses it; both programs print the same columns."""
    cell = ["--models", model, "--norms", norm, "--batch-sizes", batch_size, "--threads", a.threads, "--seconds", a.seconds]
    out = subprocess.run([*command, *cell], check=True, capture_output=True, text=True).stdout
    (row,) = csv.DictReader(out.splitlines())  # the one cell asked for
    return row


def main():
    a = arguments()
    programs = [[a.mbn, "bench"], [sys.executable, str(HERE / "torch_baseline.py")]]
    cells = [(m, n, b) for m in a.models for n in a.norms for b in a.batch_sizes]
    rows, ratios = [], {cell: [] for cell in cells}
    for turn in range(a.rounds):
        for cell in cells:
            pair = [measure(program, *cell, a) for program in programs]
            rows += [{"round": turn, **row} for row in pair]
            if all(row["images_per_s"] for row in pair):
                ours, theirs = (float(row["images_per_s"]) for row in pair)
                ratios[cell].append(ours / theirs)
            with a.out.open("w", newline="") as f:
                writer = csv.DictWriter(f, rows[0], lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
    print(f"| model | norm | batch | mbn / PyTorch, median of {a.rounds} | lowest | highest |\n|---|---|---|---|---|---|")
    for (model, norm, batch_size), values in ratios.items():
        cells = (f"{f(values):.2f}" if values else "" for f in (statistics.median, min, max))
        print(f"| {model} | {norm} | {batch_size} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
