"""Passes of one memorized layer as JSON, and their replay in PyTorch.

A file is a list of cases, `{"config": {...}, "passes": [...]}`; a case starts with an empty memory, and `config` has the
parameters of the layer as `mbn` calls them, where they are not the defaults. A pass has

    "pass"           "train", "refresh" or "eval"; "age" with "refresh"
    "x", "gamma", "beta", and "g", the gradient with respect to y, with "train"
    "y", with "train" also "dx", "dgamma", "dbeta": the results; what is absent is not compared
    "state"          tensors of the layer after the pass, by name; optional

An input is {"name", "shape", "scale", "offset"}, for scale * uniform(name) + offset, or {"shape", "data"} with all values. A
result is a summary or all its values.
"""
import torch

import mbn_torch
from values import tensor


def layer(case):
    """The layer of a case, in float64, with an empty memory."""
    _, features, *pixels = case["passes"][0]["x"]["shape"]
    form = mbn_torch.MemorizedBatchNorm2d if pixels else mbn_torch.MemorizedBatchNorm1d
    return form(features, **case["config"]).double()


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
