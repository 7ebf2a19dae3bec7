"""Memorized Batch Normalization for PyTorch, in one file: the layers of `mbn` as drop-ins for BatchNorm.

    import mbn_torch as mbn

    net = mbn.convert(net)                           # replaces BatchNorm layers by memorized ones; keeps the parameters
    for x, y in batches:
        optimizer.zero_grad()
        F.cross_entropy(net(x), y).backward()
        optimizer.step()
        with mbn.refreshing(net):                    # Double-Forward, optional
            net(x)
    plain = mbn.export(net)                          # a copy with ordinary BatchNorm, for inference anywhere

Forward, with the mean mu_i and biased variance v_i of each of the most recent batches (i = 0 is the current one):

    mu = sum a_i mu_i    v = sum a_i (v_i + (mu_i - mu)^2), or sum a_i v_i with pool="mean"    xhat = (x - mu) / sqrt(v + eps)

Backward, with g = dL/dy; remembered entries are constants:

    dx = gamma / sqrt(v + eps) (g - G1 - xhat G2)    (pool="mean": (x - mu_0) / sqrt(v + eps) in place of the last xhat)

    stat_grad="memorized"   G1, G2 pool mean(g), mean(g xhat) of the most recent batches with weights b_i
    stat_grad="full"        those of this batch alone: BatchNorm's gradient
    stat_grad="weighted"    a_0 times those of this batch: the exact gradient
    stat_grad="none"        0: the statistics are constants

Length: as many batches as hold `samples` images, at least one, so that for batches of that many images or more the layer is
BatchNorm; or `size` batches. The a_i sum to 1 and fall to a quarter over that length; with `decay`, by that factor per batch
(with `size`) or per image (with `samples`). `grad_size`, `grad_samples` and `grad_decay` do the same for the b_i.

Inference is an affine map with `running_mean` and `running_var`. With inference="average" they are a running average of all
batches' statistics, by the law of total variance, in which 128 images weigh `momentum` (the first batches weigh the same);
with inference="memory" they are the pooled statistics of training.

One value per channel, (1,C): the variance is that between batches, so it needs pool="total" and two batches. The first batch
is only scaled and shifted, and its gradient is not remembered. Lengths of one batch and stat_grad="full" are refused.

Limits. Every forward pass in training mode is remembered, and every backward pass, so recomputation
(`torch.utils.checkpoint`) and `retain_graph` count a batch twice. Do not use DataParallel: its replicas lose their memory.
Under DistributedDataParallel, each process has its own memory with `broadcast_buffers=False`, else that of rank 0.
Remembered gradients have the scale of the loss: keep it the same (always divided by the micro-batches of an update; a
GradScaler only with a constant factor).
"""
import contextlib
import copy
import dataclasses

import torch
import torch.nn as nn
import torch.nn.functional as F

EMPTY = -1.0  # variance in an empty slot of the memory
REACH = 64  # number of most recent batches that can be refreshed
FADED = 0.25  # without a decay: weight of a batch just beyond the memory, relative to the newest


class _Normalize(torch.autograd.Function):
    """gamma (x - mean) inverse + beta per channel; `share` computes G1 and G2 from mean(g) and mean(g xhat)."""

    @staticmethod
    def forward(ctx, x, gamma, beta, mean, inverse, center, share):
        ctx.save_for_backward(x, gamma, mean, inverse, center)
        ctx.share = share
        return (x - _wide(mean, x)) * _wide(gamma * inverse, x) + _wide(beta, x)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g):
        x, gamma, mean, inverse, center = ctx.saved_tensors
        g1 = g.mean(_dims(x))
        g2 = (g * (x - _wide(mean, x))).mean(_dims(x)) * inverse
        G1, G2 = ctx.share(g1, g2)
        dx = (g - _wide(G1, x) - (x - _wide(center, x)) * _wide(inverse * G2, x)) * _wide(gamma * inverse, x)
        count = x.numel() / len(mean)
        return dx, g2 * count, g1 * count, None, None, None, None


def _dims(x):
    return [d for d in range(x.dim()) if d != 1]


def _wide(per_channel, x):
    return per_channel.view(1, -1, *[1] * (x.dim() - 2))


def _none(g1, g2):
    return torch.zeros_like(g1), torch.zeros_like(g2)


def _push(row, *rings):
    """Pushes `row` into the first ring; the row that a ring drops is pushed into the next one."""
    rows = torch.cat([row[None].to(rings[0].dtype), *rings])
    for ring, pushed in zip(rings, rows.split([*map(len, rings), 1])):
        ring.copy_(pushed)


def _blend(mean, var, new_mean, new_var, a):
    """Mean and variance of a mixture of the old (weight 1 - a) and the new (weight a), by the law of total variance."""
    return (1 - a) * mean + a * new_mean, (1 - a) * var + a * new_var + a * (1 - a) * (new_mean - mean) ** 2


@dataclasses.dataclass(frozen=True)
class _Length:
    """The length of a memory, in batches or in images, and the decay of weights per batch or image."""

    count: int
    unit: str
    decay: float
    values: int = 0  # a length in images holds at least this many values per channel

    @property
    def capacity(self):
        """The largest length in batches."""
        return max(self.count, self.values)

    def batches(self, images, positions):
        """The length in batches, for batches of `images` images with `positions` positions each."""
        count = max(self.count, -(-self.values // positions))
        return max(1, int(count / images + 0.5)) if self.unit == "images" else count

    def weights(self, filled, images, positions):
        """Weights of such batches by age, 0 where `filled`, (rows, C) or (rows, 1), is 0; columns sum to 1."""
        if not self.decay:
            decay = FADED ** (1 / self.batches(images, positions))
        else:
            decay = self.decay**images if self.unit == "images" else self.decay
        w = filled * decay ** torch.arange(len(filled), dtype=filled.dtype, device=filled.device)[:, None]
        return w / w.sum(0)

    def __str__(self):
        return f"{self.count} {self.unit}" + (f" by {self.decay}" if self.decay else "")


class MemorizedBatchNorm(nn.Module):
    """Base class of the layers below; the formulas are at the top of this file.

    None and 0 mean that an option is not given. The length is `size`, else `samples`; that of gradients is `grad_size`, else
    `size`, else `grad_samples`, else `samples`; the decay of gradients is `grad_decay`, else `decay`.
    """

    plain, ranks = None, ()

    def __init__(self, num_features, eps=1e-5, affine=True, *, size=None, samples=128, decay=None, pool="total",
                 stat_grad="memorized", grad_size=None, grad_samples=32, grad_decay=None, refresh="pooled",
                 inference="average", momentum=0.1):
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.pool, self.stat_grad, self.refresh, self.inference = pool, stat_grad, refresh, inference
        self.length = _Length(size or samples or 0, "batches" if size else "images", decay or 0)
        self.grad_length = _Length(grad_size or size or grad_samples or samples or 0,
                                   "batches" if grad_size or size else "images", grad_decay or decay or 0,
                                   0 if grad_size or size else samples or 0)
        self.age = None  # of the batch that training passes refresh; None where they add a new one
        self._check_options()
        for name in ("weight", "bias"):
            self.register_parameter(name, nn.Parameter(torch.empty(num_features)) if affine else None)
        for name, rows in (("running", ()), ("ema", ()), ("memory", (self.length.count,)), ("forgotten", (REACH,)),
                           ("before", (REACH,))):
            for part in ("mean", "var"):
                self._buffer(f"{name}_{part}", *rows, num_features, persistent=name not in ("forgotten", "before"))
        self._buffer("before_weight", REACH, 1, persistent=False)
        self._buffer("ema_batches", 1)
        if stat_grad == "memorized":
            self._buffer("grad_mean", self.grad_length.capacity, num_features)
            self._buffer("grad_cov", self.grad_length.capacity, num_features)
            self._buffer("grad_filled", self.grad_length.capacity)
        self.reset_parameters()

    def _buffer(self, name, *shape, persistent=True):
        self.register_buffer(name, torch.empty(shape), persistent)

    def reset_parameters(self):
        """Sets scale 1 and shift 0, and empties the memory."""
        fills = {"weight": 1, "running_var": 1, "ema_var": 1, "memory_var": EMPTY, "forgotten_var": EMPTY}
        for name, tensor in (*self.named_parameters(), *self.named_buffers()):
            nn.init.constant_(tensor, fills.get(name, 0))

    def extra_repr(self):
        names = ("eps", "length", "pool", "stat_grad", "grad_length", "refresh", "inference", "momentum")
        return ", ".join([str(self.num_features), *(f"{name}={getattr(self, name)}" for name in names)])

    @torch.compiler.disable
    def forward(self, x):
        if x.dim() not in self.ranks or x.shape[1] != self.num_features or not x.numel():
            raise ValueError(f"input of shape {tuple(x.shape)} does not fit {self}")
        if not self.training:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        z = x.to(torch.promote_types(x.dtype, torch.float32))
        gamma = z.new_ones(self.num_features) if self.weight is None else self.weight.to(z.dtype)
        beta = z.new_zeros(self.num_features) if self.bias is None else self.bias.to(z.dtype)
        with torch.no_grad():
            mean, var, center, share = self._statistics(z)
        return _Normalize.apply(z, gamma, beta, mean, (var + self.eps).rsqrt(), center, share).to(x.dtype)

    def _statistics(self, x):
        """Remembers the batch; returns mean, variance and center to normalize it with, and the rule for G1 and G2."""
        images, count, age = len(x), x.numel() // self.num_features, self.age or 0
        batch = images, count // images
        self._check_count(count, x)
        own_var, own_mean = torch.var_mean(x, _dims(x), correction=0)
        self._remember(own_mean, own_var, images)
        means, variances = (r[age : age + self.length.batches(*batch)].to(x.dtype) for r in self._history())
        filled = (variances != EMPTY).to(x.dtype)
        if count == 1 and filled[:, 0].sum() < 2:
            mean, var, share = torch.zeros_like(own_mean), torch.ones_like(own_var), _none
        else:
            a = self.length.weights(filled, *batch)
            mean = (a * means).sum(0)
            spread = (means - mean) ** 2 if self.pool == "total" else 0
            var = (a * (variances + spread)).sum(0)
            share = self._rule(a[0], batch)
        if age == 0:
            average = self.inference == "average"
            self.running_mean.copy_(self.ema_mean if average else mean)
            self.running_var.copy_(self.ema_var if average else var)
        if self.age is not None and self.refresh == "batch":
            mean, var = own_mean, own_var
        return mean, var, mean if self.pool == "total" else own_mean, share

    def _history(self):
        """Means and variances by age, including batches older than the memory."""
        return torch.cat([self.memory_mean, self.forgotten_mean]), torch.cat([self.memory_var, self.forgotten_var])

    def _remember(self, mean, var, images):
        """Adds a batch's statistics, or replaces those of its training pass by fresh ones."""
        if self.age is None:
            _push(mean, self.memory_mean, self.forgotten_mean)
            _push(var, self.memory_var, self.forgotten_var)
            _push(self.ema_mean, self.before_mean)
            _push(self.ema_var, self.before_var)
            self.ema_batches += 1
            _push((1 / self.ema_batches).clamp(min=1 - (1 - self.momentum) ** (images / 128)), self.before_weight)
        else:
            kept = int((self.before_weight > 0).sum())
            if not 0 <= self.age < kept:
                raise ValueError(f"no batch of age {self.age} to refresh: {kept} batches are kept")
            capacity = self.length.count
            row, place = (self.age, "memory") if self.age < capacity else (self.age - capacity, "forgotten")
            getattr(self, f"{place}_mean")[row] = mean
            getattr(self, f"{place}_var")[row] = var
        self._average(mean, var, self.age or 0)

    def _average(self, mean, var, age):
        """Updates the running average as of the batch of that age, where the next younger batch or inference reads it."""
        before = (t[age].to(mean.dtype) for t in (self.before_mean, self.before_var))
        after = _blend(*before, mean, var, self.before_weight[age].to(mean.dtype))
        places = (self.before_mean[age - 1], self.before_var[age - 1]) if age else (self.ema_mean, self.ema_var)
        for place, value in zip(places, after):
            place.copy_(value)

    def _rule(self, a0, batch):
        if self.stat_grad == "memorized":
            return lambda g1, g2: self._remember_gradient(g1, g2, batch)
        factor = {"weighted": a0, "full": 1, "none": 0}[self.stat_grad]
        return lambda g1, g2: (factor * g1, factor * g2)

    def _remember_gradient(self, g1, g2, batch):
        newest = slice(self.grad_length.batches(*batch))
        for ring, row in ((self.grad_mean, g1), (self.grad_cov, g2), (self.grad_filled, torch.ones_like(self.grad_filled[0]))):
            _push(row, ring)
            ring[newest.stop :] = 0
        b = self.grad_length.weights(self.grad_filled[newest, None].to(g1.dtype), *batch)
        return (b * self.grad_mean[newest]).sum(0), (b * self.grad_cov[newest]).sum(0)

    def _check_options(self):
        for name in ("length", "grad_length"):
            length = getattr(self, name)
            if length.count < 1:
                raise ValueError(f"{name} {length}: expected 1 or more (a length of one batch is BatchNorm)")
            if not 0 <= length.decay <= 1:
                raise ValueError(f"{name} {length}: expected a decay from 0 to 1 (1: uniform weights; 0: derived from the length)")
        if not 0 < self.momentum <= 1:
            raise ValueError(f"momentum {self.momentum}: expected a number above 0 and at most 1")
        for name, known in (("pool", ("total", "mean")), ("stat_grad", ("memorized", "weighted", "full", "none")),
                            ("refresh", ("pooled", "batch")), ("inference", ("average", "memory"))):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} {getattr(self, name)!r}: expected one of {', '.join(known)}")

    def _check_count(self, count, x):
        """Refuses one value per channel where it is undefined."""
        reason = None
        if self.length.batches(1, 1) == 1 or (self.age is not None and self.refresh == "batch"):
            reason = "a single batch has no variance"
        elif self.pool == "mean":
            reason = 'pool "mean" gives no variance; use "total"'
        elif self.stat_grad == "full" or (self.stat_grad == "memorized" and self.grad_length.batches(1, 1) == 1):
            reason = 'BatchNorm\'s gradient is not a descent direction; use stat_grad "memorized" over more than one batch'
        if count == 1 and reason:
            raise ValueError(f"one value per channel in an input of shape {tuple(x.shape)}: {reason}")


class MemorizedBatchNorm1d(MemorizedBatchNorm):
    """For (N,C) or (N,C,L), instead of BatchNorm1d."""

    plain, ranks = nn.BatchNorm1d, (2, 3)


class MemorizedBatchNorm2d(MemorizedBatchNorm):
    """For (N,C,H,W), instead of BatchNorm2d."""

    plain, ranks = nn.BatchNorm2d, (4,)


class MemorizedBatchNorm3d(MemorizedBatchNorm):
    """For (N,C,D,H,W), instead of BatchNorm3d."""

    plain, ranks = nn.BatchNorm3d, (5,)


FORMS = {form.plain: form for form in (MemorizedBatchNorm1d, MemorizedBatchNorm2d, MemorizedBatchNorm3d)}


@contextlib.contextmanager
def refreshing(net, age=0):
    """The second pass of Double-Forward: within it, passes in training mode compute no gradient and *replace* the statistics
    of the batch from `age` normalization batches ago; they pool the same batches as its training pass.

    Use it after the update, on the same inputs, with random layers seeded alike in both passes. With several micro-batches
    per update, from the oldest to the newest:

        for age, x in zip(reversed(range(len(parts))), parts):
            with mbn.refreshing(net, age):
                net(x)
    """
    layers = [m for m in net.modules() if isinstance(m, MemorizedBatchNorm)]
    for layer in layers:
        layer.age = age
    try:
        with torch.no_grad():
            yield
    finally:
        for layer in layers:
            layer.age = None


def convert(net, **options):
    """Replaces the BatchNorm layers of `net` by memorized ones with these options, in place; returns the network.

    Parameters remain the same objects (an existing optimizer stays valid); inference is the same until the first training pass.
    """

    def memorized(bn):
        if type(bn) not in FORMS:
            raise TypeError(f"{type(bn).__name__} has no memorized counterpart")
        layer = FORMS[type(bn)](bn.num_features, affine=bn.affine, **{"eps": bn.eps, **options})
        return _take_over(layer, bn)

    return _replace(net, nn.modules.batchnorm._BatchNorm, memorized)


def export(net):
    """A copy of `net` with ordinary BatchNorm layers, equivalent to the memorized ones in inference."""

    def plain(layer):
        bn = layer.plain(layer.num_features, layer.eps, affine=layer.weight is not None)
        return _take_over(bn, layer)

    return _replace(copy.deepcopy(net), MemorizedBatchNorm, plain)


def _take_over(new, old):
    """Gives the layer `new` the parameters, mode and, if any, running statistics of `old`."""
    if old.running_mean is not None:
        new.to(old.running_mean)
        new.running_mean.copy_(old.running_mean)
        new.running_var.copy_(old.running_var)
    new.weight, new.bias = old.weight, old.bias
    return new.train(old.training)


def _replace(net, kind, make):
    """Replaces every layer of that kind in place; a layer used in several places by a single new one."""
    made = {}

    def new(layer):
        if layer not in made:
            made[layer] = make(layer)
        return made[layer]

    if isinstance(net, kind):
        return new(net)
    for parent in list(net.modules()):
        for name, child in parent._modules.items():
            if isinstance(child, kind):
                parent._modules[name] = new(child)
    return net
