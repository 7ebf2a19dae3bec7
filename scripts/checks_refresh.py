"""Checks of Double-Forward."""
import copy

import torch
import torch.nn.functional as F

import mbn_torch as mbn
from checks_common import SHAPES, close, form, refresh, refuses, remember, small_net
from values import uniform


def double_forward_without_an_update():
    """Refreshing with unchanged weights changes nothing, however many micro-batches an update has."""
    for options in ({"size": 1}, {"size": 4}, {"samples": 9}, {"size": 3, "inference": "memory"}):
        for count in (1, 2, 3, 5, 8):
            net = mbn.convert(small_net(), **options)
            for update in range(3):
                parts = [uniform(f"part{update}{i}", 3, 2, 6, 6) * 2 + i for i in range(count)]
                before = [net(part) for part in parts]
                sum(y.sum() for y in before).backward()
                state = copy.deepcopy(net.state_dict())
                for age, x, y in zip(reversed(range(count)), parts, before):
                    close(f"{options}, {count} micro-batches: output", refresh(net, x, age), y)
                for name, tensor in net.state_dict().items():
                    close(f"{options}, {count} micro-batches: {name}", tensor, state[name])


def double_forward_replaces():
    """After a change of weights, all remembered statistics are those of the new weights, as if these had made all passes."""
    for options in ({"size": 3, "stat_grad": "full"}, {"samples": 6, "stat_grad": "weighted", "inference": "memory"}):
        net, fresh = (mbn.convert(small_net(), **options) for _ in range(2))
        parts = [uniform(f"part{i}", 3, 2, 6, 6) for i in range(4)]
        for each in (net, fresh):
            each(parts[3])  # from an earlier update, never refreshed
        for x in parts[:3]:
            net(x)
        for each in (net, fresh):
            each[0].weight.data *= 1.5
        for age, x in zip((2, 1, 0), parts):
            close("output", refresh(net, x, age), fresh(x))
        for name, tensor in net.state_dict().items():
            close(name, tensor, fresh.state_dict()[name])
        refuses(lambda: refresh(net, parts[0], 4))


def refreshing_with_the_batch():
    """With refresh="batch", the second pass normalizes with the fresh batch alone, but remembers it as usual."""
    for shape in SHAPES:
        alone, pooled = (remember(form(shape, size=4, refresh=kind), shape, 3) for kind in ("batch", "pooled"))
        x = uniform("again", *shape) + 1
        close("output", refresh(alone, x, 0), F.batch_norm(x, None, None, alone.weight, alone.bias, True))
        refresh(pooled, x, 0)
        for name, tensor in alone.state_dict().items():
            assert torch.equal(tensor, pooled.state_dict()[name]), name
