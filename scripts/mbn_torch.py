"""Memorized Batch Normalization for PyTorch, in one file: the layers of `mbn` as drop-ins for BatchNorm.

    import mbn_torch as mbn

    net = mbn.convert(net, samples=128, batch=2)     # BatchNorm layers become memorized ones; parameters stay the same
    for x, y in batches:
        optimizer.zero_grad()
        F.cross_entropy(net(x), y).backward()
        optimizer.step()
        with mbn.refreshing(net):                    # Double-Forward, optional
            net(x)
    plain = mbn.export(net)                          # a copy with ordinary BatchNorm, for inference anywhere

Forward, with the newest `size` normalization batches (the mean mu_i and biased variance v_i of each; i = 0 is the current
one) and a_i proportional to `decay`^i:

    mu = sum a_i mu_i    v = sum a_i (v_i + (mu_i - mu)^2), or sum a_i v_i with pool="mean"    xhat = (x - mu) / sqrt(v + eps)

Backward, with g = dL/dy, remembered entries being constants:

    dx = gamma / sqrt(v + eps) (g - G1 - xhat G2)    (pool="mean": (x - mu_0) / sqrt(v + eps) in place of the last xhat)

    stat_grad="memorized"   G1, G2 pool mean(g), mean(g xhat) of the newest `grad_size` batches by `grad_decay`^i
    stat_grad="full"        this batch's alone: BatchNorm's gradient      "weighted"   a_0 times those: the exact gradient
    stat_grad="none"        0: the statistics are constants

Inference uses the pool as it stands, `running_mean` and `running_var`: an affine map.

One value per channel, (1,C): the variance is that between batches, so it takes pool="total" and two batches. The very first
is only scaled and shifted, and its gradient is not remembered. Lengths of 1 and stat_grad="full" are refused.

Limits. Every pass in training mode is remembered, and every backward pass: recomputation (`torch.utils.checkpoint`) and
`retain_graph` count a batch twice. Do not use DataParallel: its replicas forget. Under DistributedDataParallel each process
has its own memory with `broadcast_buffers=False`, else that of rank 0. Remembered gradients are as large as the loss was:
keep its scale (divided by the micro-batches of an update, always; a GradScaler with a constant factor only).
"""
import contextlib
import copy

import torch
import torch.nn as nn
import torch.nn.functional as F

EMPTY = -1.0  # the variance in a slot of the memory that no batch has filled yet
REACH = 64  # how many forgotten batches are kept for refreshes of the batches after them


class _Normalize(torch.autograd.Function):
    """gamma (x - mean) inverse + beta per channel; `share` makes G1 and G2 of mean(g) and mean(g xhat)."""

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


def _weights(filled, decay, like):
    """decay^i in row i of `filled` (rows, C), 0 where it is false; columns sum to 1."""
    ages = torch.arange(len(filled), dtype=like.dtype, device=like.device)
    w = (decay**ages)[:, None] * filled
    return w / w.sum(0)


def _push(row, *rings):
    """`row` becomes the newest of the first ring; what a ring forgets becomes the newest of the next."""
    rows = torch.cat([row[None].to(rings[0].dtype), *rings])
    for ring, pushed in zip(rings, rows.split([*map(len, rings), 1])):
        ring.copy_(pushed)


def _length(size, samples, batch, default):
    """A memory's length in normalization batches, given so or in samples."""
    if samples is None:
        return default if size is None else size
    if size is not None or batch is None:
        raise ValueError("a length in samples wants `batch`, the samples of a normalization batch, and no length in batches")
    return max(1, int(samples / batch + 0.5))


class MemorizedBatchNorm(nn.Module):
    """What the layers below share; the formulas are at the top of this file.

    `grad_size` and `grad_decay` are as `size` (16) and `decay` if not given. `samples` and `grad_samples` give the lengths
    in samples instead, with `batch` samples to a normalization batch.
    """

    plain, ranks = None, ()

    def __init__(self, num_features, eps=1e-5, affine=True, *, size=None, decay=0.9, pool="total", stat_grad="memorized",
                 grad_size=None, grad_decay=None, samples=None, grad_samples=None, batch=None):
        super().__init__()
        self.num_features, self.eps, self.decay, self.pool, self.stat_grad = num_features, eps, decay, pool, stat_grad
        self.size = _length(size, samples, batch, 16)
        self.grad_size = _length(grad_size, grad_samples, batch, self.size)
        self.grad_decay = decay if grad_decay is None else grad_decay
        self.age = None  # of the batch that training passes refresh; None: they push a new one
        self._check_options()
        for name in ("weight", "bias"):
            self.register_parameter(name, nn.Parameter(torch.empty(num_features)) if affine else None)
        for name, rows in (("memory", self.size), ("forgotten", REACH)):
            self.register_buffer(f"{name}_mean", torch.empty(rows, num_features), persistent=name == "memory")
            self.register_buffer(f"{name}_var", torch.empty(rows, num_features), persistent=name == "memory")
        for name in ("grad_mean", "grad_cov"):
            self.register_buffer(name, torch.empty(self.grad_size, num_features))
        self.register_buffer("grad_count", torch.tensor(0))
        self.register_buffer("running_mean", torch.empty(num_features))
        self.register_buffer("running_var", torch.empty(num_features))
        self.reset_parameters()

    def reset_parameters(self):
        """Scale 1, shift 0, and nothing remembered."""
        fills = {"weight": 1, "running_var": 1, "memory_var": EMPTY, "forgotten_var": EMPTY}
        for name, tensor in (*self.named_parameters(), *self.named_buffers()):
            nn.init.constant_(tensor, fills.get(name, 0))

    def extra_repr(self):
        names = ("eps", "size", "decay", "pool", "stat_grad", "grad_size", "grad_decay")
        return ", ".join([str(self.num_features), *(f"{name}={getattr(self, name)}" for name in names)])

    @torch.compiler.disable
    def forward(self, x):
        if x.dim() not in self.ranks or x.shape[1] != self.num_features or not x.numel():
            raise ValueError(f"input of shape {tuple(x.shape)} for {self}")
        if not self.training:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        z = x.to(torch.promote_types(x.dtype, torch.float32))
        gamma = z.new_ones(self.num_features) if self.weight is None else self.weight.to(z.dtype)
        beta = z.new_zeros(self.num_features) if self.bias is None else self.bias.to(z.dtype)
        with torch.no_grad():
            mean, var, center, share = self._statistics(z)
        return _Normalize.apply(z, gamma, beta, mean, (var + self.eps).rsqrt(), center, share).to(x.dtype)

    def _statistics(self, x):
        """Remembers the batch; mean, variance and center to normalize it with, and the rule that makes G1 and G2."""
        count = x.numel() // self.num_features
        self._check_count(count, x)
        own_var, own_mean = torch.var_mean(x, _dims(x), correction=0)
        age = self.age or 0
        if self.age is None:
            _push(own_mean, self.memory_mean, self.forgotten_mean)
            _push(own_var, self.memory_var, self.forgotten_var)
        else:
            self._replace(own_mean, own_var)
        means, variances = (r[age : age + self.size].to(x.dtype) for r in self._history())
        filled = variances != EMPTY
        if count == 1 and filled[:, 0].sum() < 2:
            mean, var, share = torch.zeros_like(own_mean), torch.ones_like(own_var), _none
        else:
            a = _weights(filled, self.decay, means)
            mean = (a * means).sum(0)
            spread = (means - mean) ** 2 if self.pool == "total" else 0
            var = (a * (variances + spread)).sum(0)
            share = self._rule(a[0])
        if age == 0:
            self.running_mean.copy_(mean)
            self.running_var.copy_(var)
        return mean, var, mean if self.pool == "total" else own_mean, share

    def _history(self):
        """Means and variances by age, beyond the memory."""
        return torch.cat([self.memory_mean, self.forgotten_mean]), torch.cat([self.memory_var, self.forgotten_var])

    def _replace(self, mean, var):
        """Puts a batch's fresh statistics in the place of those that its training pass left."""
        kept = min(int((self._history()[1][:, 0] != EMPTY).sum()), REACH + 1)
        if not 0 <= self.age < kept:
            raise ValueError(f"nothing to refresh at age {self.age}: {kept} batches can be")
        row, place = (self.age, "memory") if self.age < self.size else (self.age - self.size, "forgotten")
        getattr(self, f"{place}_mean")[row] = mean
        getattr(self, f"{place}_var")[row] = var

    def _rule(self, a0):
        if self.stat_grad == "memorized":
            return self._remember_gradient
        factor = {"weighted": a0, "full": 1, "none": 0}[self.stat_grad]
        return lambda g1, g2: (factor * g1, factor * g2)

    def _remember_gradient(self, g1, g2):
        _push(g1, self.grad_mean)
        _push(g2, self.grad_cov)
        self.grad_count.add_(1).clamp_(max=self.grad_size)
        filled = torch.arange(self.grad_size, device=g1.device)[:, None] < self.grad_count
        b = _weights(filled, self.grad_decay, g1)
        return (b * self.grad_mean).sum(0), (b * self.grad_cov).sum(0)

    def _check_options(self):
        if min(self.size, self.grad_size) < 1:
            raise ValueError(f"size {self.size}, grad_size {self.grad_size}: expected 1 or more batches (1 is BatchNorm's)")
        if not (0 < self.decay <= 1 and 0 < self.grad_decay <= 1):
            raise ValueError(f"decay {self.decay}, grad_decay {self.grad_decay}: expected above 0, at most 1 (1 is uniform)")
        if self.pool not in ("total", "mean"):
            raise ValueError(f'pool {self.pool!r}: expected "total" or "mean"')
        if self.stat_grad not in ("memorized", "weighted", "full", "none"):
            raise ValueError(f'stat_grad {self.stat_grad!r}: expected "memorized", "weighted", "full" or "none"')

    def _check_count(self, count, x):
        """The refusals for one value per channel."""
        reason = None
        if self.size == 1:
            reason = "size 1 leaves no variance"
        elif self.pool == "mean":
            reason = 'pool "mean" leaves no variance; use "total"'
        elif self.stat_grad == "full" or (self.stat_grad == "memorized" and self.grad_size == 1):
            reason = 'BatchNorm\'s own gradient is no descent direction; use stat_grad "memorized" with a longer grad_size'
        if count == 1 and reason:
            raise ValueError(f"one value per channel in an input of shape {tuple(x.shape)}: {reason}")


class MemorizedBatchNorm1d(MemorizedBatchNorm):
    """For (N,C) or (N,C,L), in the place of BatchNorm1d."""

    plain, ranks = nn.BatchNorm1d, (2, 3)


class MemorizedBatchNorm2d(MemorizedBatchNorm):
    """For (N,C,H,W), in the place of BatchNorm2d."""

    plain, ranks = nn.BatchNorm2d, (4,)


class MemorizedBatchNorm3d(MemorizedBatchNorm):
    """For (N,C,D,H,W), in the place of BatchNorm3d."""

    plain, ranks = nn.BatchNorm3d, (5,)


FORMS = {form.plain: form for form in (MemorizedBatchNorm1d, MemorizedBatchNorm2d, MemorizedBatchNorm3d)}


@contextlib.contextmanager
def refreshing(net, age=0):
    """The second pass of Double-Forward: within it, passes in training mode take no gradient and *replace* the statistics
    of the batch of `age` normalization batches ago; they pool the batches that its training pass pooled.

    To be used after the update, on the same inputs; seed random layers alike in both passes. With several micro-batches per
    update, from the oldest to the newest:

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

    Parameters stay the same objects (an optimizer made before goes on), inference the same until the first training pass.
    """

    def memorized(bn):
        if type(bn) not in FORMS:
            raise TypeError(f"no memorized form of {type(bn).__name__}")
        layer = FORMS[type(bn)](bn.num_features, affine=bn.affine, **{"eps": bn.eps, **options})
        return _take_over(layer, bn)

    return _replace(net, nn.modules.batchnorm._BatchNorm, memorized)


def export(net):
    """A copy of `net` with ordinary BatchNorm layers, which do in inference what the memorized ones do."""

    def plain(layer):
        bn = layer.plain(layer.num_features, layer.eps, affine=layer.weight is not None)
        return _take_over(bn, layer)

    return _replace(copy.deepcopy(net), MemorizedBatchNorm, plain)


def _take_over(new, old):
    """Gives the layer `new` the parameters and mode of `old`, and running statistics where it has some."""
    if old.running_mean is not None:
        new.to(old.running_mean)
        new.running_mean.copy_(old.running_mean)
        new.running_var.copy_(old.running_var)
    new.weight, new.bias = old.weight, old.bias
    return new.train(old.training)


def _replace(net, kind, make):
    """Replaces every layer of that kind in place, one that is used in several places by one."""
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
