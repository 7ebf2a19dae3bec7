"""Golden values of `mbn_torch.py`: a layer pass by pass, and whole networks update by update, with Double-Forward."""
import torch
import torch.nn.functional as F

import mbn_torch
import networks
from passes import replay
from values import parameter, summary, uniform

CONFIG = {"size": 4, "decay": 0.9, "pool": "total", "stat_grad": "memorized", "grad_size": 3, "grad_decay": 0.8, "eps": 1e-5,
          "inference": "memory"}
IMAGES = {"samples": 6, "grad_samples": 4}  # everything else at its default


def memorized_passes():
    """Three updates of two micro-batches each, Double-Forward after the first and the last; then inference (`passes.py`)."""
    def given(name, shape, scale, offset):
        return {"name": name, "shape": shape, "scale": scale, "offset": offset}

    def affine(update):
        return {"gamma": given(f"gamma{update}", [3], 0.25, 1.0), "beta": given(f"beta{update}", [3], 0.25, 0.0)}

    for shape, config in (([2, 3, 2, 2], CONFIG), ([4, 3], CONFIG), ([2, 3, 2, 2], {**CONFIG, "size": 1}),
                          ([2, 3, 2, 2], {**CONFIG, "pool": "mean"}), ([1, 3], CONFIG), ([2, 3, 2, 2], IMAGES),
                          ([3, 3, 2, 2], IMAGES)):
        passes = []
        for u in range(3):
            for i in range(2):
                passes.append({"pass": "train", "x": given(f"x{u}{i}", shape, 2.0 - 0.5 * i, 0.5 * u),
                               "g": given(f"g{u}{i}", shape, 1.0, 0.5 - 0.25 * u), **affine(u)})
            for age in (1, 0)[-config.get("size", 2) :] if u != 1 else ():  # under the updated weights, if still remembered
                passes.append({"pass": "refresh", "age": age, "x": given(f"again{u}{1 - age}", shape, 2.0, 0.5 * u),
                               **affine(u + 1)})
        passes.append({"pass": "eval", "x": given("x", shape, 2.0, 0.0), **affine(3)})
        case = {"config": config, "passes": passes}
        for step, results, state in replay(case):
            step.update({k: summary(v) for k, v in results.items()})
        step["state"] = {name: summary(t) for name, t in state.items() if name not in ("weight", "bias")}
        yield case


def memorized_networks():
    """Three updates of two micro-batches of two images, each followed by Double-Forward; then inference.

    Parameters start as `parameter(name)`, memories empty. The loss is the mean over the update's images; an update is
    w -= rate gradient. Inputs are `x<update><micro-batch>`, uniform; the gradients are those of the last update.
    """
    rate, labels = 0.05, [[3, 0], [3, 9]]
    for model, channels, size in (("lenet", 1, 28), ("resnet8", 3, 32)):
        net = mbn_torch.convert(networks.build(model, channels, 10, size), **CONFIG).double()
        with torch.no_grad():
            for name, p in net.named_parameters():
                p.copy_(parameter(name, *p.shape))
        optimizer, updates = torch.optim.SGD(net.parameters(), rate), []
        for u in range(3):
            parts = [uniform(f"x{u}{i}", 2, channels, size, size) for i in range(2)]
            optimizer.zero_grad()
            logits, refreshed, loss = [], [], 0
            for x, y in zip(parts, labels):
                logits.append(net(x))
                part = F.cross_entropy(logits[-1], torch.tensor(y)) / len(parts)
                part.backward()
                loss += part.item()
            optimizer.step()
            for age, x in zip((1, 0), parts):
                with mbn_torch.refreshing(net, age):
                    refreshed.append(net(x))
            updates.append({"logits": [*map(summary, logits)], "loss": loss, "refreshed": [*map(summary, refreshed)]})
        state = {name: summary(t) for name, t in net.state_dict().items() if "running" in name}
        x = uniform("x", 2, channels, size, size)
        yield {"model": model, "channels": channels, "size": size, "classes": 10, "config": CONFIG, "rate": rate,
               "labels": labels, "updates": updates, "gradients": {k: summary(p.grad) for k, p in net.named_parameters()},
               "running": state, "eval": summary(net.eval()(x))}
