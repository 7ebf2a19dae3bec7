#!/usr/bin/env python3
"""Evaluates the finished runs of a sweep with `mbn eval`, once per option string, into one CSV.

    python3 scripts/evaluate_runs.py results/cifar10-batch-size post-hoc.csv --data-dir DIR --labels bn \
        --eval "--stats precise" --eval "--stats precise --layer-by-layer" --eval "--stats evalnorm"
    python3 scripts/evaluate_runs.py results/cifar10-batch-size noise.csv --data-dir DIR --labels bn mbn \
        --eval "--weight-noise 0.1"

A row is one score: the run, its label, batch size and seed, the options, the statistics, the weight of `weighing` where
there is one, loss and accuracy; with noise, means over the draws. Scores already in the file are not evaluated again, so
that the same command continues after an interruption.
"""
import argparse
import csv
import json
import pathlib
import shlex
import subprocess
import sys

COLUMNS = ["run", "label", "batch_size", "seed", "options", "stats", "weight", "loss", "accuracy"]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweep", type=pathlib.Path, help="folder of the sweep")
    parser.add_argument("csv", type=pathlib.Path, help="the file to write or to continue")
    parser.add_argument("--eval", action="append", required=True, metavar="OPTIONS", help="options of `mbn eval`; may be repeated")
    parser.add_argument("--mbn", default="target/release/mbn", help="the program [%(default)s]")
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--labels", nargs="+", help="methods [all]")
    parser.add_argument("--batch-sizes", nargs="+", type=int, help="batch sizes [all]")
    return parser.parse_args()


def chosen(args):
    """The rows of summary.csv that are asked for."""
    for row in csv.DictReader(open(args.sweep / "summary.csv")):
        labels, sizes = args.labels or [row["label"]], args.batch_sizes or [int(row["batch_size"])]
        if row["status"] == "done" and row["label"] in labels and int(row["batch_size"]) in sizes:
            yield row


def evaluate(args, run, options):
    """The scores of one evaluation: (statistics, weight, loss, accuracy) each."""
    command = [args.mbn, "eval", str(args.sweep / "runs" / run), "--json", "--data-dir", args.data_dir, *shlex.split(options)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{shlex.join(command)}\n{done.stderr.strip()}")
    report = json.loads(done.stdout)
    if "noise" in report:
        return [(r["stats"], "", r["loss"]["mean"], r["accuracy"]["mean"]) for r in report["noise"]["results"]]
    return [(report["stats"], report.get("weight", ""), report["loss"], report["accuracy"])]


def main():
    args = arguments()
    known = set()
    if args.csv.exists():
        known = {(row["run"], row["options"]) for row in csv.DictReader(open(args.csv))}
    with open(args.csv, "a", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        if not known and file.tell() == 0:
            rows.writerow(COLUMNS)
        for row in chosen(args):
            for options in args.eval:
                if (row["run"], options) in known:
                    continue
                identity = [row["run"], row["label"], row["batch_size"], row["seed"], options]
                rows.writerows(identity + list(score) for score in evaluate(args, row["run"], options))
                file.flush()


if __name__ == "__main__":
    main()
