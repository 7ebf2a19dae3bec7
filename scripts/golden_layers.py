"""Golden values of normalizers that PyTorch lacks, written in PyTorch's operations: a few training steps and inference."""
import torch

from values import parameter, summary, uniform

EPS = 1e-5


def channels(t, x):
    """(C) as a factor of x, (N,C,H,W) or (N,C)."""
    return t.view(1, -1, *[1] * (x.dim() - 2))


def moments(x):
    """Mean and biased variance of each channel."""
    var, mean = torch.var_mean(x.transpose(0, 1).flatten(1), 1, correction=0)
    return mean, var


def answers(norm, layer, params, shape, steps=3, **told):
    """Training steps with x<t> 2 + t and g<t>, then inference; parameters are `parameter(name)`.

    `layer(x, parameters, train)` has the names of its parameters, of shape (C) unless `shapes` says otherwise, and the
    statistics of inference, `running`, if any. `told` goes into the case unchanged."""
    shapes, taken = getattr(layer, "shapes", {}), []
    p = {name: parameter(name, *shapes.get(name, [shape[1]])).requires_grad_() for name in layer.parameters}
    for t in range(steps):
        x = (uniform(f"x{t}", *shape) * 2 + t).requires_grad_()
        y = layer(x, p, True)
        dx, *gradients = torch.autograd.grad((y * uniform(f"g{t}", *shape)).sum(), [x, *p.values()])
        taken.append({"y": summary(y), "dx": summary(dx), "parameters": [*map(summary, gradients)]})
    running = {key: summary(t) for key, t in zip(("mean", "var"), getattr(layer, "running", ()))}
    y = layer(uniform(f"x{steps}", *shape) * 2, p, False)
    return {"norm": norm, "params": params, "shape": shape, "names": layer.parameters, **told, "steps": taken,
            **running, "eval": summary(y)}
