"""Passes of one memorized layer as JSON: values from names, results in a few numbers, and the replay in PyTorch.

A file is a list of cases, `{"config": {...}, "passes": [...]}`; a case starts with an empty memory, and `config` has the
parameters of the layer as `mbn` calls them. A pass has

    "pass"           "train", "refresh" or "eval"; "age" with "refresh"
    "x", "gamma", "beta", and "g", the gradient with respect to y, with "train"
    "y", with "train" also "dx", "dgamma", "dbeta": the results; what is absent is not compared
    "state"          tensors of the layer after the pass, by name; optional

A tensor given is {"name", "shape", "scale", "offset"}, uniform(name) scale + offset, or all its values, {"shape", "data"};
a result is a summary or all its values.
"""
import math

import numpy as np
import torch

import mbn_torch

MASK = 2**64 - 1


def uniform(name, *shape):
    """Uniform in [-1, 1), the i-th value from SplitMix64 at FNV-1a(name) + i; free of rounding and of libm."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 & MASK
    z = np.arange(1, math.prod(shape) + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed)
    z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    z = z ^ z >> np.uint64(31)
    return torch.from_numpy((z >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1.0).reshape(shape)


def summary(t):
    """Length, sum, L2 norm, the projection on a fixed direction (so that no permutation passes), both ends."""
    t = t.detach().flatten()
    scalars = {"sum": t.sum(), "norm": t.norm(), "dot": t @ uniform("dot", len(t))}
    return {"len": len(t), **{k: v.item() for k, v in scalars.items()}, "first": t[:3].tolist(), "last": t[-3:].tolist()}


def tensor(given):
    """The tensor that a file gives, in float64."""
    if "data" in given:
        return torch.tensor(given["data"], dtype=torch.float64).reshape(given["shape"])
    return uniform(given["name"], *given["shape"]) * given["scale"] + given["offset"]


def layer(case):
    """The layer of a case, in float64, nothing remembered."""
    _, features, *pixels = case["passes"][0]["x"]["shape"]
    form = mbn_torch.MemorizedBatchNorm2d if pixels else mbn_torch.MemorizedBatchNorm1d
    names = ("eps", "size", "decay", "pool", "stat_grad", "grad_size", "grad_decay")
    return form(features, **{k: v for k, v in case["config"].items() if k in names}).double()


def replay(case):
    """Yields each pass with the results of our layer, by name."""
    norm = layer(case)
    for step in case["passes"]:
        norm.train(step["pass"] != "eval")
        x = tensor(step["x"]).requires_grad_()
        norm.weight.data, norm.bias.data = tensor(step["gamma"]), tensor(step["beta"])
        if step["pass"] == "refresh":
            with mbn_torch.refreshing(norm, step["age"]):
                results = {"y": norm(x)}
        else:
            results = {"y": norm(x)}
        if step["pass"] == "train":
            grads = torch.autograd.grad(results["y"], (x, norm.weight, norm.bias), tensor(step["g"]))
            results.update(zip(("dx", "dgamma", "dbeta"), grads))
        yield step, results, norm.state_dict()


def difference(ours, theirs):
    """Largest difference between a tensor and a result in a file, relative to the size of what is compared."""
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
