"""Compact tensors: input values generated from names, results summarized in a few numbers."""
import math

import numpy as np
import torch

MASK = 2**64 - 1


def uniform(name, *shape):
    """Uniform in [-1, 1), the i-th value from SplitMix64 at FNV-1a(name) + i; exact, without rounding or libm."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 & MASK
    z = np.arange(1, math.prod(shape) + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed)
    z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    z = z ^ z >> np.uint64(31)
    return torch.from_numpy((z >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1.0).reshape(shape)


def parameter(name, *shape):
    """Values of a network's parameter `name`: He's range for weights, near 1 for scales and variances."""
    if len(shape) > 1:
        return uniform(name, *shape) * math.sqrt(6 / math.prod(shape[1:]))
    return uniform(name, *shape) * 0.25 + (1.0 if name.endswith(("weight", "running_var")) else 0.0)


def summary(t):
    """Length, sum, L2 norm, dot product with a fixed vector (which detects permutations), first and last values."""
    t = t.detach().flatten()
    scalars = {"sum": t.sum(), "norm": t.norm(), "dot": t @ uniform("dot", len(t))}
    return {"len": len(t), **{k: v.item() for k, v in scalars.items()}, "first": t[:3].tolist(), "last": t[-3:].tolist()}


def tensor(given):
    """The tensor described in a file, in float64."""
    if "data" in given:
        return torch.tensor(given["data"], dtype=torch.float64).reshape(given["shape"])
    return uniform(given["name"], *given["shape"]) * given["scale"] + given["offset"]


def difference(ours, theirs):
    """Largest difference between a tensor and a result in a file, relative to the size of the values."""
    if "data" in theirs:
        ours, theirs = ours.detach().double(), tensor(theirs)
        if ours.shape != theirs.shape:
            return math.inf
        return ((ours - theirs).norm() / max(theirs.norm().item(), 1e-300)).item()
    ours, size = summary(ours), max(theirs["norm"], 1e-300)
    if ours["len"] != theirs["len"]:
        return math.inf
    whole = [abs(ours[k] - theirs[k]) / size for k in ("sum", "norm", "dot")]
    ends = [abs(a - b) / size * math.sqrt(ours["len"]) for k in ("first", "last") for a, b in zip(ours[k], theirs[k])]
    return max(whole + ends)
