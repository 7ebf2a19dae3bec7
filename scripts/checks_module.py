"""Checks of the layer as a PyTorch module: state, options, conversion from BatchNorm and back."""
import copy

import torch
import torch.nn as nn
import torch.nn.functional as F

import mbn_torch as mbn
from checks_common import SHAPES, close, form, refresh, refuses, remember, small_net
from values import uniform


def resumes():
    """A layer loaded with the state of another continues as that one does."""
    for shape in SHAPES:
        for options in ({"size": 4, "grad_size": 3}, {}):
            norm = remember(form(shape, **options), shape, 2)
            other = form(shape, **options)
            other.load_state_dict(norm.state_dict())
            remember(norm, shape, 4), remember(other, shape, 4)
            for name, tensor in norm.state_dict().items():
                assert torch.equal(tensor, other.state_dict()[name]), name


def state():
    """Names and shapes of the tensors are those in a checkpoint of `mbn`; gradients only where they are remembered."""
    always = {"weight": [3], "bias": [3], "running_mean": [3], "running_var": [3], "ema_mean": [3], "ema_var": [3],
              "ema_batches": [1], "memory_mean": [128, 3], "memory_var": [128, 3]}
    gradients = {"grad_mean": [128, 3], "grad_cov": [128, 3], "grad_filled": [128]}
    for stat_grad, wanted in (("memorized", always | gradients), ("weighted", always)):
        layer = mbn.MemorizedBatchNorm2d(3, stat_grad=stat_grad)
        assert {name: list(t.shape) for name, t in layer.state_dict().items()} == wanted, stat_grad


def refuses_options():
    """Options out of range and unknown names are refused."""
    for options in ({"size": -1}, {"samples": 0}, {"grad_size": -2}, {"decay": 1.5}, {"decay": float("nan")},
                    {"grad_decay": -0.1}, {"momentum": 0}, {"pool": "sum"}, {"stat_grad": "half"}, {"inference": "ema"},
                    {"refresh": "no"}):
        refuses(lambda: mbn.MemorizedBatchNorm2d(3, **options))


def conversion():
    """Conversion and export give the same network; in inference, the exported one equals the memorized one."""
    plain = small_net()
    for t in range(3):
        plain(uniform(f"x{t}", 4, 2, 6, 6))
    x = uniform("x", 4, 2, 6, 6)
    for options in ({}, {"inference": "memory", "samples": 24}):
        net = mbn.convert(copy.deepcopy(plain), **options)
        assert (net[1].length.batches(4, 1), net[5].eps, net[5].num_features) == (6 if options else 32, 1e-3, 5)
        for ours, theirs in ((net, plain), (mbn.export(net), plain)):
            close("inference", ours.eval()(x), plain.eval()(x))
        assert [type(m) for m in mbn.export(net)] == [type(m) for m in plain]
        net.train()
        optimizer = torch.optim.SGD(net.parameters(), 0.1)
        for t in range(8):
            optimizer.zero_grad()
            F.cross_entropy(net(uniform(f"x{t}", 4, 2, 6, 6)), torch.tensor([0, 1, 2, 0])).backward()
            optimizer.step()
            refresh(net, uniform(f"x{t}", 4, 2, 6, 6), 0)
        assert net.training and mbn.export(net).training
        close("inference after training", mbn.export(net).eval()(x), net.eval()(x))
    shared = nn.BatchNorm1d(3)
    twice = mbn.convert(nn.Sequential(shared, nn.Sequential(shared), nn.BatchNorm1d(3, affine=False)))
    assert twice[0] is twice[1][0] and twice[0].weight is shared.weight and twice[2].weight is None
    assert isinstance(mbn.convert(nn.BatchNorm2d(3)), mbn.MemorizedBatchNorm2d)
