#!/usr/bin/env python3
"""Prints the learning rate with the best mean validation accuracy for each method and batch size, as overrides of a sweep file.

    mbn sweep experiments/mnist-batch-size-tune.toml --data-dir DIR
    python3 scripts/best_rates.py results/mnist-batch-size-tune/summary.csv

Rates with a run that diverged, failed or is missing are not chosen; where none is left, a comment says so. A comment above each choice has
the means of all rates.
"""
import csv, statistics, sys
from collections import defaultdict


def main():
    scores = defaultdict(lambda: defaultdict(list))  # (label, batch size) -> rate -> accuracies; None for a run without one
    for row in csv.DictReader(open(sys.argv[1])):
        accuracy = float(row["val_accuracy"]) if row["status"] == "done" else None
        scores[row["label"], int(row["batch_size"])][float(row["lr"])].append(accuracy)
    runs = max(len(values) for rates in scores.values() for values in rates.values())
    for (label, batch_size), rates in scores.items():
        whole = {lr: v for lr, v in rates.items() if len(v) == runs and None not in v}
        means = {lr: statistics.mean(values) for lr, values in whole.items()}
        print("\n# " + ", ".join(f"{lr}: {100 * means[lr]:.1f} %" if lr in means else f"{lr}: none" for lr in sorted(rates)))
        if not means:
            print(f'# {{ label = "{label}", batch_size = {batch_size} }}: no rate without a run that diverged, failed or is missing')
            continue
        print("[[override]]")
        print(f'when = {{ label = "{label}", batch_size = {batch_size} }}')
        print(f"set = {{ lr = {max(means, key=means.get)} }}")


if __name__ == "__main__":
    main()
