#!/usr/bin/env python3
"""Writes reference values from PyTorch, in float64, into tests/golden/*.json, for tests/golden.rs to compare with.

Inputs and parameters are not stored: both sides compute them from their names (`uniform`), and results are stored
as a few numbers each (`summary`).  Run it again only when a case is added; the files are the reference.

    python scripts/golden.py [FOLDER]
"""
import json
import math
import pathlib
import sys

import torch
import torch.nn as nn
import torch.nn.functional as F

import networks
from golden_images import images
from golden_memory import memorized_networks, memorized_passes
from golden_rivals import rivals
from values import parameter, summary, uniform

def leaf(name, *shape):
    return parameter(name, *shape).requires_grad_()


def gradients(y, name, **wanted):
    """Gradients of sum(y * g), g = uniform(name), keyed `d<name>`."""
    grads = torch.autograd.grad((y * uniform(name, *y.shape)).sum(), list(wanted.values()))
    return {f"d{k}": summary(v) for k, v in zip(wanted, grads)}


def batch_norm():
    """Three training steps on fresh batches, then inference; PyTorch's default momentum and eps."""
    for shape in ([3, 4, 5, 2], [5, 4]):
        gamma, beta = leaf("gamma.weight", 4), leaf("beta.bias", 4)
        running = torch.zeros(4, dtype=torch.float64), torch.ones(4, dtype=torch.float64)
        steps = []
        for t in range(3):
            x = (uniform(f"x{t}", *shape) * 2 + t).requires_grad_()
            y = F.batch_norm(x, *running, gamma, beta, True, 0.1, 1e-5)
            steps.append({"y": summary(y), **gradients(y, f"g{t}", x=x, gamma=gamma, beta=beta),
                          "mean": summary(running[0]), "var": summary(running[1])})
        y = F.batch_norm(uniform("x3", *shape) * 2, *running, gamma, beta, False, 0.1, 1e-5)
        yield {"shape": shape, "momentum": 0.1, "eps": 1e-5, "steps": steps, "eval": summary(y)}


def pooled(memory, decay, pool):
    """Statistics over a memory of (mean, biased variance), newest first."""
    w = torch.tensor([decay**age for age in range(len(memory))], dtype=torch.float64)
    w = (w / w.sum())[:, None]
    means, variances = (torch.stack(s) for s in zip(*memory))
    mean = (w * means).sum(0)
    spread = (means - mean) ** 2 if pool == "total" else 0
    return mean, (w * (variances + spread)).sum(0)


def memorized():
    """MBN, autograd through the pooled statistics: five training steps, the third followed by a refresh; inference."""
    size, decay, eps, shape = 3, 0.8, 1e-5, [3, 4, 5, 2]
    for pool, stat_grad in (("total", "weighted"), ("mean", "weighted"), ("total", "full"), ("mean", "full"),
                            ("total", "none")):
        gamma, beta, memory, steps = leaf("gamma.weight", 4), leaf("beta.bias", 4), [], []

        def normalize(x, mean, var):
            per_channel = [t.view(1, -1, 1, 1) for t in (mean, (var + eps).rsqrt(), gamma, beta)]
            return (x - per_channel[0]) * per_channel[1] * per_channel[2] + per_channel[3]

        def moments(x):
            var, mean = torch.var_mean(x, (0, 2, 3), correction=0)
            return mean, var

        for t in range(5):
            x = (uniform(f"x{t}", *shape) * 2 + t).requires_grad_()
            batch = moments(x)
            memory = [batch, *memory][:size]
            mean, var = pooled(memory, decay, pool)
            memory = [tuple(s.detach() for s in entry) for entry in memory]
            if stat_grad != "weighted":
                mean, var = mean.detach(), var.detach()
            if stat_grad == "full":  # the values of the pool, the gradient of the batch
                center = mean if pool == "total" else batch[0].detach()
                own = ((x - center.view(1, -1, 1, 1)) ** 2).mean((0, 2, 3))
                mean, var = mean + batch[0] - batch[0].detach(), var + own - own.detach()
            y = normalize(x, mean, var)
            step = {"y": summary(y), **gradients(y, f"g{t}", x=x, gamma=gamma, beta=beta)}
            if t == 2:
                again = uniform("again", *shape) + t
                memory[0] = moments(again)
                step["refresh"] = summary(normalize(again, *pooled(memory, decay, pool)))
            steps.append(step)
        y = normalize(uniform("x5", *shape) * 2, *pooled(memory, decay, pool))
        yield {"shape": shape, "size": size, "decay": decay, "eps": eps, "pool": pool, "stat_grad": stat_grad,
               "steps": steps, "eval": summary(y)}


def group_norm():
    for shape, groups in (([3, 6, 5, 2], 1), ([3, 6, 5, 2], 2), ([3, 6, 5, 2], 6), ([5, 6], 2)):
        gamma, beta = leaf("gamma.weight", 6), leaf("beta.bias", 6)
        x = (uniform("x", *shape) * 2).requires_grad_()
        y = F.group_norm(x, groups, gamma, beta, 1e-5)
        yield {"shape": shape, "groups": groups, "eps": 1e-5, "y": summary(y),
               **gradients(y, "g", x=x, gamma=gamma, beta=beta)}


def cross_entropy():
    for smoothing in (0.0, 0.1, 0.5):
        logits = (uniform("logits", 5, 7) * 8).requires_grad_()
        labels = [0, 6, 3, 3, 1]
        loss = F.cross_entropy(logits, torch.tensor(labels), label_smoothing=smoothing)
        (grad,) = torch.autograd.grad(loss, logits)
        yield {"labels": labels, "smoothing": smoothing, "loss": loss.item(), "grad": summary(grad)}


def sgd():
    """Four steps of torch.optim.SGD with given gradients and a changing learning rate."""
    rates = [0.1, 0.1, 0.05, 0.02]
    for momentum, nesterov, decay in ((0, False, 0), (0, False, 0.01), (0.9, False, 0), (0.9, False, 0.01),
                                      (0.9, True, 0), (0.9, True, 0.01)):
        params = {"a.weight": leaf("a.weight", 2, 3), "b.bias": leaf("b.bias", 5)}
        optimizer = torch.optim.SGD(params.values(), rates[0], momentum, weight_decay=decay, nesterov=nesterov)
        steps = []
        for t, rate in enumerate(rates):
            optimizer.param_groups[0]["lr"] = rate
            for name, p in params.items():
                p.grad = uniform(f"{name}.grad{t}", *p.shape)
            optimizer.step()
            steps.append({name: summary(p) for name, p in params.items()})
        yield {"momentum": momentum, "nesterov": nesterov, "weight_decay": decay, "rates": rates, "steps": steps}


def adamw():
    """Four steps of torch.optim.AdamW with given gradients and a changing learning rate."""
    rates = [0.1, 0.1, 0.05, 0.02]
    for betas, eps, decay in (((0.9, 0.999), 1e-8, 0), ((0.9, 0.999), 1e-8, 0.5), ((0.0, 0.9), 1e-3, 0.01),
                              ((0.5, 0.0), 1e-8, 0.01)):
        params = {"a.weight": leaf("a.weight", 2, 3), "b.bias": leaf("b.bias", 5)}
        optimizer = torch.optim.AdamW(params.values(), rates[0], betas, eps, decay)
        steps = []
        for t, rate in enumerate(rates):
            optimizer.param_groups[0]["lr"] = rate
            for name, p in params.items():
                p.grad = uniform(f"{name}.grad{t}", *p.shape)
            optimizer.step()
            steps.append({name: summary(p) for name, p in params.items()})
        yield {"betas": betas, "eps": eps, "weight_decay": decay, "rates": rates, "steps": steps}


def schedules():
    """Learning rates of every step from torch.optim.lr_scheduler; `warmup` and `milestones` in steps, 10 per epoch."""
    from torch.optim.lr_scheduler import ChainedScheduler, CosineAnnealingLR, LinearLR, MultiStepLR, SequentialLR

    base, per_epoch, epochs, gamma = 0.4, 10, 4, 0.2
    total = per_epoch * epochs
    for kind, warmup, milestones in (("constant", 0, []), ("constant", 5, []), ("multi-step", 0, [1.5, 3]),
                                     ("multi-step", 5, [1.25, 2]), ("cosine", 0, []), ("cosine", 5, []),
                                     ("cosine", 15, [])):
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], base)
        ramp = [LinearLR(optimizer, 1 / warmup, 1, warmup - 1)] if warmup else []
        if kind == "cosine":
            cosine = CosineAnnealingLR(optimizer, total - warmup)
            scheduler = SequentialLR(optimizer, [*ramp, cosine], [warmup]) if ramp else cosine
        else:  # the first step at or after a milestone
            scheduler = ChainedScheduler([*ramp, MultiStepLR(optimizer, [math.ceil(m * per_epoch) for m in milestones], gamma)])
        rates = []
        for _ in range(total):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
        yield {"kind": kind, "lr": base, "steps_per_epoch": per_epoch, "epochs": epochs, "warmup_epochs": warmup / per_epoch,
               "milestones": milestones, "gamma": gamma, "rates": rates}


def network(model, channels, size, classes, shortcut="pad"):
    """One training pass over four images with its gradients, the running statistics after it, then inference."""
    net = networks.build(model, channels, classes, size, shortcut).double()
    state = {k: parameter(k, *v.shape) for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}
    net.load_state_dict(state, strict=False)
    x, labels = uniform("x", 4, channels, size, size), [3, 0, 3, classes - 1]
    logits = net(x)
    loss = F.cross_entropy(logits, torch.tensor(labels))
    loss.backward()
    running = {k: v for k, v in net.state_dict().items() if "running" in k}
    yield {"model": model, "shortcut": shortcut, "channels": channels, "size": size, "classes": classes, "labels": labels,
           "shapes": {k: list(v.shape) for k, v in state.items()}, "logits": summary(logits), "loss": loss.item(),
           "gradients": {k: summary(p.grad) for k, p in net.named_parameters()},
           "running": {k: summary(v) for k, v in running.items()}, "eval": summary(net.eval()(x))}


NETWORKS = (("lenet", 1, 28, 10), ("lenet", 3, 32, 100), ("resnet8", 1, 28, 10), ("resnet20", 3, 32, 10),
            ("resnet14", 3, 17, 10, "projection"), ("preact-resnet14", 3, 17, 10),
            ("preact-resnet8", 1, 28, 10, "projection"), ("plain", 3, 16, 10))


def main():
    torch.set_num_threads(1)
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent / "tests/golden")
    cases = (batch_norm, memorized, memorized_passes, memorized_networks, group_norm, images, rivals, cross_entropy, sgd,
             adamw, schedules)
    files = {case.__name__: case() for case in cases}
    files["networks"] = (case for spec in NETWORKS for case in network(*spec))
    for name, cases in files.items():
        lines = ",\n".join(json.dumps(case) for case in cases)
        (folder / f"{name}.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
