"""The networks of `mbn` as plain PyTorch modules with BatchNorm, their parameters under the same names."""
import re

import torch.nn as nn
import torch.nn.functional as F


class LeNet(nn.Module):
    """Caffe's LeNet (20-50-500) with a normalizer after every hidden layer, for size x size pictures."""

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


class Block(nn.Module):
    """Basic block; where it halves the picture, the shortcut is option A of He et al. 2016 (no parameters)."""

    def __init__(self, cin, cout):
        super().__init__()
        self.stride, self.pad = (1, 0) if cin == cout else (2, (cout - cin) // 2)
        self.conv1, self.bn1 = nn.Conv2d(cin, cout, 3, self.stride, 1, bias=False), nn.BatchNorm2d(cout)
        self.conv2, self.bn2 = nn.Conv2d(cout, cout, 3, 1, 1, bias=False), nn.BatchNorm2d(cout)

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        shortcut = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.pad, self.pad))
        return F.relu(y + shortcut)


class ResNet(nn.Module):
    """CIFAR ResNet of depth 6n+2 (He et al. 2016, section 4.2)."""

    def __init__(self, depth, channels=3, classes=10):
        super().__init__()
        if depth < 8 or (depth - 2) % 6:
            raise ValueError(f"a CIFAR ResNet has depth 6n+2 (8, 14, 20, ...), not {depth}")
        n = (depth - 2) // 6
        self.conv1, self.bn1 = nn.Conv2d(channels, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(*(Block(16, 16) for _ in range(n)))
        self.layer2 = nn.Sequential(Block(16, 32), *(Block(32, 32) for _ in range(n - 1)))
        self.layer3 = nn.Sequential(Block(32, 64), *(Block(64, 64) for _ in range(n - 1)))
        self.fc = nn.Linear(64, classes)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        return self.fc(self.layer3(self.layer2(self.layer1(x))).mean((2, 3)))


def build(name, channels, classes, size):
    """The network called `name` (lenet, resnet20, ...) for (channels, size, size) pictures."""
    if name == "lenet":
        return LeNet(channels, classes, size)
    if match := re.fullmatch(r"resnet(\d+)", name):
        return ResNet(int(match[1]), channels, classes)
    raise ValueError(f"no PyTorch counterpart of `{name}` here; there are lenet and resnet8, resnet14, resnet20, ...")
