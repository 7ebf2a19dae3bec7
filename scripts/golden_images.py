"""Golden values of normalizers with statistics per image: iebn, gn-bn, estbn and online, in PyTorch's operations."""
import torch
import torch.nn.functional as F

from golden_layers import EPS, answers, channels


def grouped(x, groups):
    """(N,C,H,W) as (N,G,-1)."""
    return x.reshape(len(x), groups, -1)


class Iebn:
    parameters = ("weight", "bias", "gate_weight", "gate_bias")

    def __init__(self, params, features):
        self.running = [torch.zeros(features).double(), torch.ones(features).double()]

    def __call__(self, x, p, train):
        y = F.batch_norm(x, *self.running, None, None, train, 0.1, EPS)
        gate = torch.sigmoid(p["gate_weight"] * x.mean((2, 3)) + p["gate_bias"])[:, :, None, None]
        return gate * channels(p["weight"], x) * y + channels(p["bias"], x)


class GnBn:
    """Running averages of raw moments, (G), as in the authors' code; reported as mean and variance per channel."""
    parameters = ("weight", "bias")

    def __init__(self, params, features, runs):
        self.params, self.runs, self.size = params, runs, features // params["groups"]
        self.raw = torch.zeros(params["groups"]).double(), torch.ones(params["groups"]).double()

    @property
    def running(self):
        return [t.repeat_interleave(self.size) for t in (self.raw[0], self.raw[1] - self.raw[0] ** 2)]

    def normalize(self, x, p, mean, square):
        """By statistics (1 or N, G)."""
        scale = (square - mean**2 + EPS).rsqrt()
        mean, scale = (t.repeat_interleave(self.size, 1)[:, :, None, None] for t in (mean, scale))
        return channels(p["weight"], x) * (x - mean) * scale + channels(p["bias"], x)

    def __call__(self, x, p, train):
        groups, w = self.params["groups"], self.params["weighing"]
        if not train:
            own = grouped(x, groups)
            mixed = [(1 - w) * old + w * new for old, new in zip(self.raw, (own.mean(2), (own**2).mean(2)))]
            return self.normalize(x, p, *mixed)
        with torch.no_grad():
            own, a = grouped(x, groups), self.params["momentum"]
            self.raw = [(1 - a) * old + a * new for old, new in zip(self.raw, (own.mean((0, 2)), (own**2).mean((0, 2))))]
        parts = []
        for run in x.split(self.runs):
            own = grouped(run, groups)
            parts.append(self.normalize(run, p, own.mean((0, 2))[None], (own**2).mean((0, 2))[None]))
        return torch.cat(parts)


class EstBn:
    parameters = ("weight", "bias", "first_weight", "first_bias")

    def __init__(self, params, features):
        self.params, self.running = params, [torch.zeros(features).double(), torch.ones(features).double()]

    def __call__(self, x, p, train):
        if train:
            with torch.no_grad():
                (mean, var), a = self.running, self.params["momentum"]
                around = ((x - channels(mean, x)) ** 2).mean((0, 2, 3))
                self.running = [(1 - a) * mean + a * x.mean((0, 2, 3)), (1 - a) * var + a * around]
        z = F.batch_norm(x, *(t.clone() for t in self.running), p["first_weight"], p["first_bias"], False, 0.0, EPS)
        return F.group_norm(z, self.params["groups"], p["weight"], p["bias"], EPS)


class Control(torch.autograd.Function):
    """Normalization image by image, with the control process in place of a gradient."""

    @staticmethod
    def forward(ctx, x, layer, train):
        out, scales = torch.empty_like(x), []
        for i, image in enumerate(x):
            mean, var = layer.running
            scales.append((var + EPS).sqrt()[:, None, None])
            out[i] = (image - mean[:, None, None]) / scales[i]
            if train:
                own_var, own = torch.var_mean(image, (1, 2), correction=0)
                af = layer.params["decay"]
                layer.running = [af * mean + (1 - af) * own, af * var + (1 - af) * own_var + af * (1 - af) * (own - mean) ** 2]
        ctx.layer, ctx.scales = layer, scales
        ctx.save_for_backward(out)
        return out

    @staticmethod
    def backward(ctx, g):
        (out,), layer = ctx.saved_tensors, ctx.layer
        dx, gain = torch.empty_like(g), 1 - layer.params["grad_decay"]
        for i, scale in enumerate(ctx.scales):
            first = g[i] - gain * layer.cov[:, None, None] * out[i]
            layer.cov = layer.cov + (first * out[i]).mean((1, 2))
            dx[i] = first / scale - gain * layer.mean[:, None, None]
            layer.mean = layer.mean + dx[i].mean((1, 2))
        return dx, None, None


class Online:
    parameters = ("weight", "bias")

    def __init__(self, params, features):
        self.params, self.running = params, [torch.zeros(features).double(), torch.ones(features).double()]
        self.mean, self.cov = torch.zeros(features).double(), torch.zeros(features).double()

    def __call__(self, x, p, train):
        y = channels(p["weight"], x) * Control.apply(x, self, train) + channels(p["bias"], x)
        if self.params["compensation"] == "none":
            return y
        return y * ((y**2).mean((1, 2, 3), keepdim=True) + EPS).rsqrt()


CASES = (
    ("iebn", Iebn, [3, 4, 5, 2], {}),
    ("gn-bn", GnBn, [5, 4, 3, 2], {"images": 2, "groups": 2, "momentum": 0.1, "weighing": 0.3}, [2, 3]),
    ("gn-bn", GnBn, [5, 4, 3, 2], {"images": 3, "groups": 4, "momentum": 0.1, "weighing": 0.0}, [3, 2]),
    ("estbn", EstBn, [3, 4, 5, 2], {"groups": 2, "momentum": 0.1}),
    ("online", Online, [3, 4, 5, 2], {"decay": 0.9, "grad_decay": 0.8, "compensation": "ls"}),
    ("online", Online, [3, 4, 5, 2], {"decay": 0.9, "grad_decay": 0.8, "compensation": "none"}),
)


def images():
    for norm, build, shape, params, *given in CASES:
        yield answers(norm, build(params, shape[1], *given), params, shape)
