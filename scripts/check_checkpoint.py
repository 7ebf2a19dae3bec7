#!/usr/bin/env python3
"""Checks that a trained checkpoint gives the same logits in plain PyTorch with BatchNorm in evaluation mode.

    mbn eval RUN_DIR --dump DUMP.safetensors
    python scripts/check_checkpoint.py RUN_DIR DUMP.safetensors

The dump holds `inputs` (N,C,H,W) and our `logits` (N,K).  Passes (exit code 0) if no logit differs by more than
the tolerance times the largest logit.
"""
import argparse
import pathlib
import sys
import tomllib

import torch
from safetensors import SafetensorError, safe_open

import networks


def read(path):
    """Tensors and metadata of a safetensors file."""
    try:
        with safe_open(path, framework="pt") as f:
            return {k: f.get_tensor(k) for k in f.keys()}, f.metadata() or {}
    except (OSError, SafetensorError) as e:
        sys.exit(f"{path}: not a readable safetensors file: {e}")


def build(path, size, flags):
    """The module described by the flags, or else by the checkpoint's metadata, with the checkpoint's tensors."""
    tensors, metadata = read(path)

    def setting(key):
        value = getattr(flags, key) or metadata.get(key)
        return value or sys.exit(f"{path}: its metadata has no `{key}`; pass --{key}")

    config = tomllib.loads(metadata.get("config", ""))
    try:
        net = networks.build(setting("model"), int(setting("channels")), int(setting("classes")), size,
                             config.get("shortcut", "pad")).double()
    except ValueError as e:
        sys.exit(f"{path}: {e}")
    wanted = {k: v for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}
    if missing := sorted(wanted.keys() - tensors.keys()):
        names = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        sys.exit(f"{path}: lacks {names}; it may be another network, or trained without batch statistics")
    for name, ours in wanted.items():
        if tensors[name].shape != ours.shape:
            sys.exit(f"{path}: {name} is {list(tensors[name].shape)}, the network expects {list(ours.shape)}")
    net.load_state_dict({k: tensors[k] for k in wanted}, strict=False)
    for module in net.modules():
        if isinstance(module, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)):
            module.eps = config.get(config.get("norm"), {}).get("eps", module.eps)
    return net.eval()


def dumped(path):
    """`inputs` and `logits` of a dump, in float64."""
    tensors, _ = read(path)
    if missing := {"inputs", "logits"} - tensors.keys():
        sys.exit(f"{path}: lacks {', '.join(sorted(missing))}; write it with `mbn eval RUN_DIR --dump {path}`")
    inputs, logits = tensors["inputs"].double(), tensors["logits"].double()
    if inputs.dim() != 4 or inputs.shape[2] != inputs.shape[3] or logits.dim() != 2 or not 0 < len(inputs) == len(logits):
        sys.exit(f"{path}: expected inputs (N,C,H,H) and logits (N,K), got {list(inputs.shape)}, {list(logits.shape)}")
    return inputs, logits


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("checkpoint", type=pathlib.Path, help="run folder (its last.safetensors is used) or checkpoint")
    p.add_argument("dump", type=pathlib.Path, help="file written by `mbn eval --dump`")
    for key in ("model", "classes", "channels"):
        p.add_argument(f"--{key}", help="overrides the checkpoint's metadata")
    p.add_argument("--tolerance", type=float, default=1e-4, help="relative to the largest logit (default %(default)s)")
    flags = p.parse_args()

    torch.set_num_threads(1)
    inputs, logits = dumped(flags.dump)
    path = flags.checkpoint / "last.safetensors" if flags.checkpoint.is_dir() else flags.checkpoint
    net = build(path, inputs.shape[-1], flags)
    try:
        with torch.no_grad():
            theirs = torch.cat([net(chunk) for chunk in inputs.split(256)])
        if theirs.shape != logits.shape:
            sys.exit(f"{path} gives logits {list(theirs.shape)}, {flags.dump} holds {list(logits.shape)}")
        worst = (theirs - logits).abs().max().item() / theirs.abs().max().item()
    except RuntimeError as e:
        sys.exit(f"{path} does not fit {flags.dump}: {e}")
    agree = worst <= flags.tolerance  # false for NaN
    print(f"{'same' if agree else 'DIFFERENT'} logits for {len(inputs)} images: largest difference {worst:.2e} "
          f"of the largest logit, tolerance {flags.tolerance:.0e}")
    sys.exit(not agree)


if __name__ == "__main__":
    main()
