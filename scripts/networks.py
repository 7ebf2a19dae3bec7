"""The networks of `mbn` as plain PyTorch modules with BatchNorm, their parameters under the same names."""
import re

import torch.nn as nn
import torch.nn.functional as F


class LeNet(nn.Module):
    """Caffe's LeNet (20-50-500) with a normalizer after every hidden layer, for size x size images."""

    def __init__(self, channels=1, classes=10, size=28):
        super().__init__()
        side = ((size - 4) // 2 - 4) // 2
        self.conv1, self.bn1 = nn.Conv2d(channels, 20, 5, bias=False), nn.BatchNorm2d(20)
        self.conv2, self.bn2 = nn.Conv2d(20, 50, 5, bias=False), nn.BatchNorm2d(50)
        self.fc1, self.bn3 = nn.Linear(50 * side * side, 500, bias=False), nn.BatchNorm1d(500)
        self.fc2 = nn.Linear(500, classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)
        x = F.max_pool2d(F.relu(self.bn2(self.conv2(x))), 2)
        return self.fc2(F.relu(self.bn3(self.fc1(x.flatten(1)))))


class Plain(nn.Module):
    """Five convolutions of 64 channels with biases; BatchNorm and ReLU after all but the first."""

    def __init__(self, channels=3, classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 64, 3, 1, 1)
        for i in range(2, 6):
            self.add_module(f"conv{i}", nn.Conv2d(64, 64, 3, 1, 1))
            self.add_module(f"bn{i}", nn.BatchNorm2d(64))
        self.fc = nn.Linear(64, classes)

    def forward(self, x):
        x = self.conv1(x)
        for i in range(2, 6):
            x = F.relu(getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(x)))
        return self.fc(x.mean((2, 3)))


def pad(x, stride, cout):
    """Shortcut, option A of He et al. 2016: every `stride`-th pixel, padded with channels of zeros (no parameters)."""
    channels = (cout - x.shape[1]) // 2
    return F.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, channels, channels))


class Block(nn.Module):
    """Basic block; where it halves the resolution, the shortcut is option A, or B with `projection`."""

    def __init__(self, cin, cout, projection):
        super().__init__()
        self.stride, self.cout = 1 if cin == cout else 2, cout
        self.conv1, self.bn1 = nn.Conv2d(cin, cout, 3, self.stride, 1, bias=False), nn.BatchNorm2d(cout)
        self.conv2, self.bn2 = nn.Conv2d(cout, cout, 3, 1, 1, bias=False), nn.BatchNorm2d(cout)
        if projection and cin != cout:
            self.downsample = nn.Sequential(nn.Conv2d(cin, cout, 1, self.stride, bias=False), nn.BatchNorm2d(cout))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (self.downsample(x) if hasattr(self, "downsample") else pad(x, self.stride, self.cout)))


class PreactBlock(nn.Module):
    """Basic block with pre-activation (He et al. 2016b); a projection sees the activated input."""

    def __init__(self, cin, cout, projection):
        super().__init__()
        self.stride, self.cout = 1 if cin == cout else 2, cout
        self.bn1, self.conv1 = nn.BatchNorm2d(cin), nn.Conv2d(cin, cout, 3, self.stride, 1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(cout), nn.Conv2d(cout, cout, 3, 1, 1, bias=False)
        if projection and cin != cout:
            self.downsample = nn.Sequential(nn.Conv2d(cin, cout, 1, self.stride, bias=False))

    def forward(self, x):
        a = F.relu(self.bn1(x))
        y = self.conv2(F.relu(self.bn2(self.conv1(a))))
        return y + (self.downsample(a) if hasattr(self, "downsample") else pad(x, self.stride, self.cout))


class ResNet(nn.Module):
    """CIFAR ResNet of depth 6n+2 (He et al. 2016, section 4.2), with pre-activation or not."""

    def __init__(self, depth, channels=3, classes=10, projection=False, preact=False):
        super().__init__()
        if depth < 8 or (depth - 2) % 6:
            raise ValueError(f"a CIFAR ResNet has depth 6n+2 (8, 14, 20, ...), not {depth}")
        n, block, self.preact = (depth - 2) // 6, PreactBlock if preact else Block, preact
        self.conv1 = nn.Conv2d(channels, 16, 3, 1, 1, bias=False)
        if not preact:
            self.bn1 = nn.BatchNorm2d(16)
        stage = lambda cin, cout: nn.Sequential(*(block(cout if i else cin, cout, projection) for i in range(n)))
        self.layer1, self.layer2, self.layer3 = stage(16, 16), stage(16, 32), stage(32, 64)
        if preact:
            self.bn = nn.BatchNorm2d(64)
        self.fc = nn.Linear(64, classes)

    def forward(self, x):
        x = self.conv1(x) if self.preact else F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc((F.relu(self.bn(x)) if self.preact else x).mean((2, 3)))


def build(name, channels, classes, size, shortcut="pad"):
    """The network called `name` (lenet, plain, resnet20, preact-resnet20, ...) for (channels, size, size) images."""
    if name == "lenet":
        return LeNet(channels, classes, size)
    if name == "plain":
        return Plain(channels, classes)
    if match := re.fullmatch(r"(preact-)?resnet(\d+)", name):
        return ResNet(int(match[2]), channels, classes, shortcut == "projection", bool(match[1]))
    raise ValueError(f"no PyTorch counterpart of `{name}` here; there are lenet, plain, resnet8, resnet14, resnet20, ... "
                     "and preact-resnet8, ...")
