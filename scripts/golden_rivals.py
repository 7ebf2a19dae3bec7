"""Golden values of brn, momentum-bn, hybrid and stochnorm, which mix the batch with running averages; of bnet and dyt.

Gradients are autograd's; whatever a paper holds constant is detached."""
import torch
import torch.nn.functional as F

from golden_layers import EPS, answers, channels, moments


def standard(x, mean, var):
    return (x - channels(mean, x)) * channels((var + EPS).rsqrt(), x)


def normalize(x, p, mean, var):
    return channels(p["weight"], x) * standard(x, mean, var) + channels(p["bias"], x)


def blended(old, new, a):
    return [(1 - a) * o + a * n.detach() for o, n in zip(old, new)]


class Rival:
    """BN's running averages, and the progress of training."""
    parameters = ("weight", "bias")

    def __init__(self, params, features, of):
        self.params, self.of, self.step = params, of, 0
        self.running = [torch.zeros(features).double(), torch.ones(features).double()]

    def __call__(self, x, p, train):
        if not train:
            return self.infer(x, p, *self.running)
        y = self.train(x, p, *moments(x))
        self.step += 1
        return y

    def infer(self, x, p, mean, var):
        return normalize(x, p, mean, var)

    def take_in(self, x, mean, var):
        n = x.numel() // x.shape[1]
        self.running = blended(self.running, (mean, var * n / (n - 1)), self.params["momentum"])


class Brn(Rival):
    """Averages the standard deviation; reported as a variance."""

    def __init__(self, params, features, of):
        super().__init__(params, features, of)
        self.average = [torch.zeros(features).double(), torch.ones(features).double().add(EPS).sqrt()]

    def limit(self, least, most, end):
        first, now = self.params["warmup"] * self.of, self.step
        if now < first:
            return least
        if self.params["schedule"] == "switch":
            return most
        return min(most, least + (most - least) * (now - first) / (end * self.of - first))

    def train(self, x, p, mean, var):
        r_max = self.limit(1, self.params["r_max"], self.params["r_relaxed"])
        d_max = self.limit(0, self.params["d_max"], self.params["d_relaxed"])
        sigma, (old_mean, old_sigma) = (var + EPS).sqrt(), self.average
        r = (sigma.detach() / old_sigma).clamp(1 / r_max, r_max)
        d = ((mean.detach() - old_mean) / old_sigma).clamp(-d_max, d_max)
        hat = (x - channels(mean, x)) / channels(sigma, x) * channels(r, x) + channels(d, x)
        self.average = blended(self.average, (mean, sigma), self.params["momentum"])
        self.running = [self.average[0], self.average[1] ** 2 - EPS]
        return channels(p["weight"], x) * hat + channels(p["bias"], x)


class MomentumBn(Rival):
    def __init__(self, params, features, of):
        super().__init__(params, features, of)
        self.moving = self.running

    def train(self, x, p, mean, var):
        m0, T = self.params["ideal_batch_size"], self.params["epochs"]
        t = 1 + self.step * T // self.of
        rho = min(len(x) / m0, 1) ** (1 / T)
        older = rho ** (T / (T - 1) * (T - t)) - rho**T
        mixed = [older * old + (1 - older) * new for old, new in zip(self.moving, (mean, var))]
        self.moving = [t.detach() for t in mixed]
        self.running = blended(self.running, (mean, var), 1 - (1 - self.params["momentum"]) ** (len(x) / m0))
        return normalize(x, p, *mixed)


class Hybrid(Rival):
    parameters = ("weight", "bias", "theta")

    def train(self, x, p, mean, var):
        a = torch.sigmoid(p["theta"])
        mixed = [(1 - a) * old + a * new for old, new in zip(self.running, (mean, var))]
        self.take_in(x, mean, var)
        return normalize(x, p, *mixed)


class StochNorm(Rival):
    # The random numbers of `mbn` for the key 0.5, by batch, then channel.
    draws = (1, 0, 0, 0), (0, 1, 1, 1), (0, 1, 0, 1), (1, 0, 0, 1), (0, 0, 1, 0)

    def train(self, x, p, mean, var):
        drawn = self.step >= self.params["warmup"] * self.of
        z = channels(torch.tensor(self.draws[self.step]).double() if drawn else torch.ones_like(mean), x)
        y = z * normalize(x, p, mean, var) + (1 - z) * normalize(x, p, *self.running)
        self.take_in(x, mean, var)
        return y


class Bnet(Rival):
    parameters = ("weight", "bias", "around")

    def __init__(self, params, features, of):
        super().__init__(params, features, of)
        self.shapes = {"around": [features, params["kernel"] ** 2 - 1]}

    def infer(self, x, p, mean, var):
        hat, k, half = standard(x, mean, var), self.params["kernel"], p["around"].shape[1] // 2
        kernel = torch.cat([p["around"][:, :half], p["weight"][:, None], p["around"][:, half:]], 1)
        maps = hat.reshape(*x.shape[:2], *(x.shape[2:] or (1, 1)))
        y = F.conv2d(maps, kernel.view(-1, 1, k, k), p["bias"], padding=k // 2, groups=x.shape[1])
        return y.reshape(x.shape)

    def train(self, x, p, mean, var):
        self.take_in(x, mean, var)
        return self.infer(x, p, mean, var)


class Dyt:
    parameters, shapes = ("weight", "bias", "alpha"), {"alpha": [1]}

    def __init__(self, params, features, of):
        pass

    def __call__(self, x, p, train):
        return channels(p["weight"], x) * torch.tanh(p["alpha"] * x) + channels(p["bias"], x)


IMAGES, ROWS = [3, 4, 5, 2], [5, 4]
RAMP = {"r_max": 1.5, "d_max": 0.4, "schedule": "ramp", "warmup": 0.1, "r_relaxed": 0.4, "d_relaxed": 0.3, "momentum": 0.2}
SWITCH = RAMP | {"r_max": 3.0, "d_max": 9.0, "schedule": "switch"}
SCHEDULE = {"ideal_batch_size": 12, "epochs": 4, "momentum": 0.2}
CASES = (
    ("brn", Brn, IMAGES, RAMP, 10),
    ("brn", Brn, ROWS, SWITCH, 10),
    ("momentum-bn", MomentumBn, IMAGES, SCHEDULE, 5),
    ("momentum-bn", MomentumBn, ROWS, SCHEDULE, 5),
    ("hybrid", Hybrid, IMAGES, {"momentum": 0.2}, 5),
    ("hybrid", Hybrid, ROWS, {"momentum": 0.3}, 5),
    ("stochnorm", StochNorm, IMAGES, {"p": 0.5, "warmup": 0.2, "momentum": 0.2}, 5),
    ("bnet", Bnet, IMAGES, {"kernel": 3, "momentum": 0.2}, 2),
    ("bnet", Bnet, [2, 3, 2, 4], {"kernel": 5, "momentum": 0.2}, 2),
    ("bnet", Bnet, ROWS, {"kernel": 3, "momentum": 0.2}, 2),
    ("dyt", Dyt, IMAGES, {}, 2),
    ("dyt", Dyt, ROWS, {}, 2),
)


def rivals():
    """The first steps, at most five, of trainings of that length; random state is given."""
    for norm, build, shape, params, of in CASES:
        state = {"stoch_key": 0.5} if build is StochNorm else {}
        yield answers(norm, build(params, shape[1], of), params, shape, min(of, 5), of=of, state=state)
