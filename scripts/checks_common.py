"""Shared by the checks of `mbn_torch.py`: layers and a network in float64, and comparisons."""
import torch
import torch.nn as nn

import mbn_torch as mbn
from values import uniform

SHAPES = (6, 3, 4, 2), (6, 3)


def close(what, ours, theirs, tolerance=1e-12):
    apart = (ours - theirs).abs().max().item()
    assert apart <= tolerance * max(1, theirs.abs().max().item()), f"{what}: {apart:.1e} apart"


def refuses(action):
    try:
        action()
    except ValueError:
        return
    raise AssertionError("accepted what it should refuse")


def form(shape, **options):
    """A layer with random scale and shift."""
    norm = (mbn.MemorizedBatchNorm2d if len(shape) == 4 else mbn.MemorizedBatchNorm1d)(shape[1], **options).double()
    norm.weight.data, norm.bias.data = 1 + uniform("gamma", shape[1]) / 2, uniform("beta", shape[1])
    return norm


def gradients(y, norm, x, g):
    """Gradients of the input, scale and shift."""
    return torch.autograd.grad(y, (x, norm.weight, norm.bias), g)


def remember(norm, shape, batches):
    """Passes several different batches through the layer, forward and backward."""
    for t in range(batches):
        x = (uniform(f"past{t}", *shape) * 2 + t).requires_grad_()
        norm(x).backward(uniform(f"past gradient{t}", *shape) + 0.3)
    norm.zero_grad()
    return norm


def refresh(net, x, age):
    with mbn.refreshing(net, age):
        return net(x)


def small_net():
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5),
                         nn.BatchNorm1d(5, eps=1e-3), nn.ReLU(), nn.Linear(5, 3)).double()
