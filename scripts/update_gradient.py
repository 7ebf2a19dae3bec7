"""Should the statistics of one update's micro-batches be differentiated, rather than held constant once remembered?

    python3 scripts/update_gradient.py --data CIFAR10_BATCHES_FOLDER > results/update-gradient/gradients.csv

An update of 128 images is split into micro-batches, which share the weights. Differentiating through all of their statistics
is exact but keeps every activation of the update. This script compares, in a ResNet-8 on CIFAR-10 images, each `stat_grad` of
`mbn_torch.py`, and that exact gradient ("through"), with the gradient of BatchNorm over the 128 images at once: cosine
similarity, and ratio of lengths, over all weights of convolutions. Networks: at initialization, and after training with BatchNorm.
"""
import argparse
import copy
import csv
import pathlib
import sys

import torch
import torch.nn as nn
import torch.nn.functional as F

import mbn_torch as mbn
from networks import ResNet

IMAGES = 128
GRADIENTS = ("memorized", "weighted", "full", "none")


class Through(nn.Module):
    """MBN's forward pass, in which statistics of the current update keep their graph; `start` begins an update."""

    def __init__(self, bn):
        super().__init__()
        self.weight, self.bias, self.eps = bn.weight, bn.bias, bn.eps
        self.length, self.seen = mbn.MemorizedBatchNorm2d(bn.num_features).length, []

    def start(self):
        self.seen = [(mean.detach(), var.detach()) for mean, var in self.seen]

    def forward(self, x):
        var, mean = torch.var_mean(x, (0, 2, 3), correction=0)
        batch = len(x), x[0, 0].numel()
        self.seen = [(mean, var), *self.seen][: self.length.batches(*batch)]
        means, variances = (torch.stack(part) for part in zip(*self.seen))
        weights = self.length.weights(torch.ones_like(means[:, :1]), *batch)
        mean = (weights * means).sum(0)
        var = (weights * (variances + (means - mean) ** 2)).sum(0)
        slope = self.weight * (var + self.eps).rsqrt()
        return (x - mean.view(1, -1, 1, 1)) * slope.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)


def gradient(net, loss):
    """The gradient of all convolutions, as one vector."""
    weights = [m.weight for m in net.modules() if isinstance(m, nn.Conv2d)]
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, weights)])


def update(net, images, labels, size, at_once):
    """The gradient of the mean loss of an update in micro-batches of `size`; with `at_once`, by one backward pass."""
    parts = list(zip(images.split(size), labels.split(size)))
    if at_once:
        return gradient(net, sum(F.cross_entropy(net(x), y) for x, y in parts) / len(parts))
    return sum(gradient(net, F.cross_entropy(net(x), y) / len(parts)) for x, y in parts)


def forms(net):
    """The network with each way to differentiate."""
    for name in GRADIENTS:
        yield name, mbn.convert(copy.deepcopy(net), stat_grad=name), False
    yield "through", mbn._replace(copy.deepcopy(net), nn.BatchNorm2d, Through), True


def read(folder):
    """The first training batch: images, normalized, and labels."""
    data = torch.frombuffer(bytearray((folder / "data_batch_1.bin").read_bytes()), dtype=torch.uint8).view(-1, 3073)
    images = data[:, 1:].view(-1, 3, 32, 32) / 255
    return (images - images.mean((0, 2, 3), True)) / images.std((0, 2, 3), keepdim=True), data[:, 0].long()


def trained(net, images, labels, steps):
    """Trains with BatchNorm and batches of 128."""
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9, weight_decay=1e-4)
    for step in range(steps):
        here = torch.arange(step * IMAGES, (step + 1) * IMAGES) % len(images)
        optimizer.zero_grad()
        F.cross_entropy(net(images[here]), labels[here]).backward()
        optimizer.step()
    return net


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True, help="folder that holds data_batch_1.bin")
    parser.add_argument("--updates", type=int, default=10, help="updates measured in each place")
    options = parser.parse_args()
    torch.manual_seed(0)
    images, labels = read(options.data)
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["steps_trained", "micro_batch", "stat_grad", "update", "cosine", "length_ratio"])
    net, done = ResNet(8), 0
    for steps in (0, 75, 300):
        trained(net, images, labels, steps - done)
        done = steps
        for size in (2, 8, 32):
            for number in range(options.updates):
                earlier, here = torch.randperm(len(images))[: 2 * IMAGES].split(IMAGES)
                bn = update(copy.deepcopy(net), images[here], labels[here], IMAGES, True)
                for name, form, at_once in forms(net):
                    # Fills the memories.
                    update(form, images[earlier], labels[earlier], size, at_once)
                    for layer in form.modules():
                        if isinstance(layer, Through):
                            layer.start()
                    g = update(form, images[here], labels[here], size, at_once)
                    cosine, ratio = F.cosine_similarity(g, bn, 0).item(), (g.norm() / bn.norm()).item()
                    out.writerow([steps, size, name, number, f"{cosine:.4f}", f"{ratio:.4f}"])
                sys.stdout.flush()


if __name__ == "__main__":
    main()
