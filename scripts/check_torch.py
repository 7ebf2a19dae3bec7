#!/usr/bin/env python3
"""Checks `mbn_torch.py`: by itself, and against recorded passes (`passes.py`), such as those of `mbn`.

    python scripts/check_torch.py [FILE ...] [--tolerance 1e-9]

Without FILE it also replays tests/golden/memorized_passes.json. Exit code 0 if everything agrees, 1 if not.
"""
import argparse
import json
import math
import pathlib
import sys

import torch

import checks_formulas as formulas
import checks_module as module
import checks_refresh as refresh
import passes
from values import difference

GOLDEN = pathlib.Path(__file__).parent.parent / "tests/golden/memorized_passes.json"
CHECKS = (formulas.batch_norm_at_length_1, formulas.weighted_is_the_exact_gradient, formulas.memorized_by_definition,
          formulas.stationary, formulas.inference, formulas.one_value_per_channel,
          refresh.double_forward_without_an_update, refresh.double_forward_replaces, refresh.refreshing_with_the_batch,
          module.resumes, module.state, module.refuses_options, module.conversion)


def recorded(path, tolerance):
    """Whether every result in the file agrees with ours; prints the largest difference of each case."""
    agree = True
    for i, case in enumerate(json.loads(pathlib.Path(path).read_text())):
        apart = {}
        for t, (step, results, state) in enumerate(passes.replay(case)):
            expected = {k: step[k] for k in results if k in step} | step.get("state", {})
            for name, theirs in expected.items():
                apart[f"pass {t}, {name}"] = difference((results | state)[name], theirs)
        where = max(apart, key=lambda name: (math.isnan(apart[name]), apart[name]))
        agree &= apart[where] <= tolerance
        print(f"{path} case {i}: {len(apart)} results, at most {apart[where]:.1e} apart ({where})")
    return agree


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="*", default=[GOLDEN])
    parser.add_argument("--tolerance", type=float, default=1e-9, help="largest difference, relative to the largest value")
    options = parser.parse_args()
    torch.set_num_threads(1)
    failed = 0
    for check in CHECKS:
        try:
            check()
            print(f"ok      {check.__name__}")
        except Exception as error:  # run the other checks nevertheless
            failed += 1
            print(f"FAILED  {check.__name__}: {type(error).__name__}: {error}")
    agree = [recorded(path, options.tolerance) for path in options.file]
    sys.exit(failed > 0 or not all(agree))


if __name__ == "__main__":
    main()
