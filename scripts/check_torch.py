#!/usr/bin/env python3
"""Checks `mbn_torch.py`: by itself, and against passes that were recorded elsewhere (`passes.py`), as those of `mbn` are.

    python scripts/check_torch.py [FILE ...] [--tolerance 1e-9]

Without FILE it also replays tests/golden/memorized_passes.json. Exit code 0 if everything agrees, 1 if not.
"""
import argparse
import copy
import json
import math
import pathlib
import sys

import torch
import torch.nn as nn
import torch.nn.functional as F

import mbn_torch as mbn
import passes
from values import difference, uniform

SHAPES = (6, 3, 4, 2), (6, 3)
GOLDEN = pathlib.Path(__file__).parent.parent / "tests/golden/memorized_passes.json"


def close(what, ours, theirs, tolerance=1e-12):
    apart = (ours - theirs).abs().max().item()
    assert apart <= tolerance * max(1, theirs.abs().max().item()), f"{what}: {apart:.1e} apart"


def form(shape, **options):
    """A layer in float64 with a scale and a shift."""
    norm = (mbn.MemorizedBatchNorm2d if len(shape) == 4 else mbn.MemorizedBatchNorm1d)(shape[1], **options).double()
    norm.weight.data, norm.bias.data = 1 + uniform("gamma", shape[1]) / 2, uniform("beta", shape[1])
    return norm


def remember(norm, shape, batches):
    """Some batches of changing content, forward and backward."""
    for t in range(batches):
        x = (uniform(f"past{t}", *shape) * 2 + t).requires_grad_()
        norm(x).backward(uniform(f"past gradient{t}", *shape) + 0.3)
    norm.zero_grad()
    return norm


def gradients(y, norm, x, g):
    return torch.autograd.grad(y, (x, norm.weight, norm.bias), g)


def batch_norm_at_length_1():
    """With lengths of 1 the layer is BatchNorm, forward and backward, whatever it saw before."""
    ways = ({"stat_grad": "memorized", "grad_size": 1}, {"stat_grad": "full"}, {"stat_grad": "weighted"})
    for shape in SHAPES:
        for options in ({"pool": pool, **way} for pool in ("total", "mean") for way in ways):
            norm = remember(form(shape, size=1, **options), shape, 3)
            x, g = uniform("x", *shape).requires_grad_(), uniform("g", *shape) + 1
            plain = F.batch_norm(x, None, None, norm.weight, norm.bias, True)
            theirs = gradients(plain, norm, x, g)
            y = norm(x)
            for name, a, b in zip(("y", "dx", "dgamma", "dbeta"), (y, *gradients(y, norm, x, g)), (plain, *theirs)):
                close(f"{shape} {options} {name}", a, b)


def weighted_is_the_exact_gradient():
    """Finite differences with what is remembered held constant, one value per channel included."""
    for shape, pool in (*((shape, pool) for shape in SHAPES for pool in ("total", "mean")), ((1, 3), "total")):
        norm = remember(form(shape, size=4, decay=0.8, pool=pool, stat_grad="weighted"), shape, 5)
        x = uniform("x", *shape).requires_grad_()
        torch.autograd.gradcheck(lambda x: copy.deepcopy(norm)(x), x, atol=1e-8)


def memorized_by_definition():
    """Each gradient against sums over lists of all batches; the same batch again and again: BatchNorm's gradient."""
    decay, grad_decay, size, grad_size = 0.9, 0.7, 4, 3
    for shape, pool in ((shape, pool) for shape in SHAPES for pool in ("total", "mean")):
        norm = form(shape, size=size, decay=decay, grad_size=grad_size, grad_decay=grad_decay, pool=pool)
        dims, wide = [d for d in range(len(shape)) if d != 1], [1, 3, *[1] * (len(shape) - 2)]
        batches, entries = [], []
        for t in range(6):
            x, g = (uniform(f"x{t}", *shape) * 2 + t).requires_grad_(), uniform(f"g{t}", *shape) + 0.5
            ours = gradients(norm(x), norm, x, g)
            x = x.detach()
            batches = [(x.mean(dims), x.var(dims, correction=0)), *batches]
            total = sum(decay**i for i in range(len(batches[:size])))
            mu = sum(decay**i / total * m for i, (m, _) in enumerate(batches[:size]))
            v = sum(decay**i / total * (v + (pool == "total") * (m - mu) ** 2) for i, (m, v) in enumerate(batches[:size]))
            s = (v + norm.eps).sqrt().view(wide)
            xhat = (x - mu.view(wide)) / s
            entries = [(g.mean(dims), (g * xhat).mean(dims)), *entries]
            total = sum(grad_decay**i for i in range(len(entries[:grad_size])))
            g1, g2 = (sum(grad_decay**i / total * e[k] for i, e in enumerate(entries[:grad_size])).view(wide) for k in (0, 1))
            last = xhat if pool == "total" else (x - x.mean(dims).view(wide)) / s
            dx = norm.weight.view(wide) / s * (g - g1 - last * g2)
            for name, a, b in zip(("dx", "dgamma", "dbeta"), ours, (dx, (g * xhat).sum(dims), g.sum(dims))):
                close(f"{shape} {pool} batch {t} {name}", a, b)
        x = x.requires_grad_()
        for _ in range(size + grad_size):
            ours = gradients(norm(x), norm, x, g)[0]
        close(f"{shape} {pool}: one batch again and again", ours, gradients(F.batch_norm(
            x, None, None, norm.weight, norm.bias, True), norm, x, g)[0])


def small_net():
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5),
                         nn.BatchNorm1d(5, eps=1e-3), nn.ReLU(), nn.Linear(5, 3)).double()


def double_forward_without_an_update():
    """Refreshing with unchanged weights changes nothing, however many micro-batches an update has."""
    for size in (1, 4):
        for count in (1, 2, 3, 5, 8):
            net = mbn.convert(small_net(), size=size)
            for update in range(3):
                parts = [uniform(f"part{update}{i}", 3, 2, 6, 6) * 2 + i for i in range(count)]
                before = [net(part) for part in parts]
                sum(y.sum() for y in before).backward()
                state = copy.deepcopy(net.state_dict())
                for age, x, y in zip(reversed(range(count)), parts, before):
                    with mbn.refreshing(net, age):
                        close(f"size {size}, {count} micro-batches: output", net(x), y)
                for name, tensor in net.state_dict().items():
                    close(f"size {size}, {count} micro-batches: {name}", tensor, state[name])


def double_forward_replaces():
    """After a change of weights the refreshed memory is that of the new weights, as if they had made all passes."""
    net, fresh = (mbn.convert(small_net(), size=3, stat_grad="full") for _ in range(2))
    parts = [uniform(f"part{i}", 3, 2, 6, 6) for i in range(3)]
    for x in parts:
        net(x)
    for each in (net, fresh):
        each[0].weight.data *= 1.5
    for age, x in zip((2, 1, 0), parts):
        with mbn.refreshing(net, age):
            close("output", net(x), fresh(x))
    for name, tensor in net.state_dict().items():
        close(name, tensor, fresh.state_dict()[name])
    refuses(lambda: refresh(net, parts[0], 3))


def refresh(net, x, age):
    with mbn.refreshing(net, age):
        net(x)


def refuses(action):
    try:
        action()
    except ValueError:
        return
    raise AssertionError("accepted what it should refuse")


def one_value_per_channel():
    """The first batch is only scaled and shifted, and its gradient not remembered; what is undefined is refused."""
    x = uniform("x", 1, 3).requires_grad_()
    norm = form(x.shape, size=4, grad_size=3)
    y = norm(x)
    close("first output", y, norm.weight * x / (1 + norm.eps) ** 0.5 + norm.bias)
    close("first gradient", gradients(y, norm, x, torch.ones_like(y))[0], (norm.weight / (1 + norm.eps) ** 0.5)[None])
    assert norm.grad_count == 0
    remember(norm, x.shape, 2)
    assert norm.grad_count == 2
    for options in ({"size": 1}, {"pool": "mean"}, {"stat_grad": "full"}, {"grad_size": 1}):
        refuses(lambda: form(x.shape, **options)(x))


def resumes():
    """A layer made from the state of another goes on as that one does."""
    for shape in SHAPES:
        norm = remember(form(shape, size=4, grad_size=3), shape, 2)
        other = form(shape, size=4, grad_size=3)
        other.load_state_dict(norm.state_dict())
        remember(norm, shape, 4), remember(other, shape, 4)
        for name, tensor in norm.state_dict().items():
            assert torch.equal(tensor, other.state_dict()[name]), name


def conversion():
    """There and back: the same network; an exported one does in inference what the memorized one does."""
    plain = small_net()
    for t in range(3):
        plain(uniform(f"x{t}", 4, 2, 6, 6))
    net = mbn.convert(copy.deepcopy(plain), samples=24, batch=4, grad_samples=2)
    assert (net[1].size, net[1].grad_size, net[5].eps, net[5].num_features) == (6, 1, 1e-3, 5)
    for ours, theirs in ((net, plain), (mbn.export(net), plain)):
        close("inference", ours.eval()(uniform("x", 4, 2, 6, 6)), plain.eval()(uniform("x", 4, 2, 6, 6)))
    assert [type(m) for m in mbn.export(net)] == [type(m) for m in plain]
    net.train()
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    for t in range(8):
        optimizer.zero_grad()
        F.cross_entropy(net(uniform(f"x{t}", 4, 2, 6, 6)), torch.tensor([0, 1, 2, 0])).backward()
        optimizer.step()
        refresh(net, uniform(f"x{t}", 4, 2, 6, 6), 0)
    assert net.training and mbn.export(net).training
    x = uniform("x", 4, 2, 6, 6)
    close("inference after training", mbn.export(net).eval()(x), net.eval()(x))
    shared = nn.BatchNorm1d(3)
    twice = mbn.convert(nn.Sequential(shared, nn.Sequential(shared), nn.BatchNorm1d(3, affine=False)))
    assert twice[0] is twice[1][0] and twice[0].weight is shared.weight and twice[2].weight is None
    assert isinstance(mbn.convert(nn.BatchNorm2d(3)), mbn.MemorizedBatchNorm2d)


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


CHECKS = (batch_norm_at_length_1, weighted_is_the_exact_gradient, memorized_by_definition, double_forward_without_an_update,
          double_forward_replaces, one_value_per_channel, resumes, conversion)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="*", default=[GOLDEN])
    parser.add_argument("--tolerance", type=float, default=1e-9, help="relative to the size of what is compared")
    options = parser.parse_args()
    torch.set_num_threads(1)
    failed = 0
    for check in CHECKS:
        try:
            check()
            print(f"ok      {check.__name__}")
        except Exception as error:  # the other checks are worth running
            failed += 1
            print(f"FAILED  {check.__name__}: {error}")
    agree = [recorded(path, options.tolerance) for path in options.file]
    sys.exit(failed > 0 or not all(agree))


if __name__ == "__main__":
    main()
