"""Checks of the layer's formulas: against BatchNorm, finite differences, and sums over lists of all batches."""
import copy
import math

import torch
import torch.nn.functional as F

from checks_common import SHAPES, close, form, gradients, refuses, remember
from values import uniform


def batch_norm_at_length_1():
    """With lengths of one batch, the layer is BatchNorm, forward and backward, whatever came before."""
    ways = ({"stat_grad": "memorized", "grad_size": 1}, {"stat_grad": "full"}, {"stat_grad": "weighted"})
    lengths = [{"size": 1, "pool": pool, **way} for pool in ("total", "mean") for way in ways]
    for shape in SHAPES:
        for options in (*lengths, {"samples": 6, "grad_samples": 8}, {"samples": 4, "grad_samples": None}):
            norm = remember(form(shape, **options), shape, 3)
            x, g = uniform("x", *shape).requires_grad_(), uniform("g", *shape) + 1
            plain = F.batch_norm(x, None, None, norm.weight, norm.bias, True)
            theirs = gradients(plain, norm, x, g)
            y = norm(x)
            for name, a, b in zip(("y", "dx", "dgamma", "dbeta"), (y, *gradients(y, norm, x, g)), (plain, *theirs)):
                close(f"{shape} {options} {name}", a, b)


def weighted_is_the_exact_gradient():
    """Finite differences with remembered values held constant, also with one value per channel."""
    for shape, pool in (*((shape, pool) for shape in SHAPES for pool in ("total", "mean")), ((1, 3), "total")):
        norm = remember(form(shape, size=4, decay=0.8, pool=pool, stat_grad="weighted"), shape, 5)
        x = uniform("x", *shape).requires_grad_()
        torch.autograd.gradcheck(lambda x: copy.deepcopy(norm)(x), x, atol=1e-8)


def pooled(entries, batches, decay):
    """sum w_i entry_i over the newest entries of a list, w_i proportional to decay^i."""
    entries = entries[:batches]
    return sum(decay**i * e for i, e in enumerate(entries)) / sum(decay**i for i in range(len(entries)))


# Options; and, for the images and positions of a batch, length and decay in batches, of the statistics, then of the gradients.
LENGTHS = (
    ({"size": 4, "decay": 0.9, "grad_size": 3, "grad_decay": 0.7}, lambda images, positions: (4, 0.9, 3, 0.7)),
    ({"size": 3, "decay": 0.9}, lambda images, positions: (3, 0.9, 3, 0.9)),
    ({"size": 4, "grad_samples": 6}, lambda images, positions: (4, 0.25 ** (1 / 4), 4, 0.25 ** (1 / 4))),
    ({"samples": 18, "decay": 0.95, "grad_samples": 0}, lambda images, positions: (18 // images, 0.95**images) * 2),
    ({"samples": 18, "grad_samples": 12}, lambda images, positions: fading(18, images) + fading(18 if positions == 1 else 12, images)),
    ({}, lambda images, positions: fading(128, images) + fading(128 if positions == 1 else 32, images)),
)


def fading(samples, images):
    """Length in batches, and the decay that leaves a quarter at its end."""
    batches = round(samples / images)
    return batches, 0.25 ** (1 / batches)


def memorized_by_definition():
    """Each output and gradient against sums over lists of all batches, alternately of six and of three images."""
    for (options, lengths), pool in ((length, pool) for length in LENGTHS for pool in ("total", "mean")):
        for shape in SHAPES:
            norm, dims = form(shape, pool=pool, **options), [d for d in range(len(shape)) if d != 1]
            means, variances, g_means, gx_means = [], [], [], []

            def wide(per_channel):
                return per_channel.view(1, 3, *[1] * (len(shape) - 2))

            for t in range(8):
                images = 3 if t in (4, 6) else 6
                size, decay, grad_size, grad_decay = lengths(images, math.prod(shape[2:]))
                x = (uniform(f"x{t}", images, *shape[1:]) * 2 + t).requires_grad_()
                g = uniform(f"g{t}", *x.shape) + 0.5
                y = norm(x)
                ours, x = gradients(y, norm, x, g), x.detach()
                means, variances = [x.mean(dims), *means], [x.var(dims, correction=0), *variances]
                mu = pooled(means, size, decay)
                spread = pooled([(m - mu) ** 2 for m in means], size, decay) if pool == "total" else 0
                s = (pooled(variances, size, decay) + spread + norm.eps).sqrt()
                xhat = (x - wide(mu)) / wide(s)
                g_means, gx_means = [g.mean(dims), *g_means], [(g * xhat).mean(dims), *gx_means]
                g_means, gx_means = g_means[:grad_size], gx_means[:grad_size]
                g1, g2 = (wide(pooled(entries, grad_size, grad_decay)) for entries in (g_means, gx_means))
                last = xhat if pool == "total" else (x - wide(means[0])) / wide(s)
                dx = wide(norm.weight / s) * (g - g1 - last * g2)
                theirs = (xhat * wide(norm.weight) + wide(norm.bias), dx, (g * xhat).sum(dims), g.sum(dims))
                for name, a, b in zip(("y", "dx", "dgamma", "dbeta"), (y, *ours), theirs):
                    close(f"{shape} {options} {pool} batch {t} {name}", a, b)


def stationary():
    """The same batch repeatedly gives BatchNorm's gradient."""
    for shape in SHAPES:
        norm = remember(form(shape, size=4, grad_size=3), shape, 2)
        x, g = uniform("x", *shape).requires_grad_(), uniform("g", *shape)
        for _ in range(7):
            ours = gradients(norm(x), norm, x, g)[0]
        plain = F.batch_norm(x, None, None, norm.weight, norm.bias, True)
        close(f"{shape}", ours, gradients(plain, norm, x, g)[0])


def inference():
    """The running average: at first the statistics of the union of all batches, then its recursion; and the memory."""
    for shape in SHAPES:
        dims = [d for d in range(len(shape)) if d != 1]
        norm, memory = form(shape), form(shape, inference="memory", size=2, decay=1)
        xs = [uniform(f"x{t}", *shape) * 2 + t for t in range(5)]
        for x in xs:
            norm(x), memory(x)
        for layer, union in ((norm, torch.cat(xs)), (memory, torch.cat(xs[-2:]))):
            close("mean", layer.running_mean, union.mean(dims))
            close("variance", layer.running_var, union.var(dims, correction=0))
        norm, square = form(shape, momentum=0.9), 0  # from the tenth batch of six images on, `momentum` determines the weight
        for t in range(20):
            x = uniform(f"x{t}", *shape) + t
            a = max(1 - 0.1 ** (6 / 128), 1 / (t + 1))
            mean = x.mean(dims) if t == 0 else (1 - a) * mean + a * x.mean(dims)
            square = (1 - a) * square + a * (x * x).mean(dims)
            norm(x)
        close("settled mean", norm.running_mean, mean)
        close("settled variance", norm.running_var, square - mean**2, 1e-10)
        assert norm.ema_batches.tolist() == [20]


def one_value_per_channel():
    """The first batch is only scaled and shifted, and its gradient is not remembered; undefined cases are refused."""
    x = uniform("x", 1, 3).requires_grad_()
    norm = form(x.shape)
    y = norm(x)
    close("first output", y, norm.weight * x / (1 + norm.eps) ** 0.5 + norm.bias)
    close("first gradient", gradients(y, norm, x, torch.ones_like(y))[0], (norm.weight / (1 + norm.eps) ** 0.5)[None])
    assert norm.grad_filled.sum() == 0
    remember(norm, x.shape, 2)
    assert norm.grad_filled.sum() == 2
    for options in ({"size": 1}, {"samples": 1}, {"pool": "mean"}, {"stat_grad": "full"}, {"grad_size": 1}):
        refuses(lambda: form(x.shape, **options)(x))
