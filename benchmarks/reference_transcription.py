"""Network and loss of the reference implementation in training: a reference for the speed of ours.

It follows docs/spec/architecture.md, sections 3 to 9, and docs/spec/protocol.md, section 3, and computes like the
reference implementation. Sums are in place, and maps from branch 0 downward are evaluated twice.
Pooling and resizing use sizes of tensors, shuffles use view and transpose, and each joint has its own loss. The
optimizer is PyTorch's plain Adam. Parameter names are ours, so that one state dict fits both networks. Only benchmarks
and tests use this module.
"""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from litehrnet.variants import STEM_CHANNELS, find_variant


class Block(nn.Module):
    """Convolution with optional batch normalization and optional ReLU in place."""

    def __init__(self, conv: nn.Conv2d, *, norm: bool = True, relu: bool = False) -> None:
        super().__init__()
        self.conv = conv
        self.norm, self.relu = norm, relu
        if norm:
            self.bn = nn.BatchNorm2d(conv.out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the features (n, c, h, w) of images."""
        x = self.conv(x)
        if self.norm:
            x = self.bn(x)
        return F.relu(x, inplace=True) if self.relu else x


def full(a: int, b: int, *, bias: bool = False) -> nn.Conv2d:
    """Create a 1x1 convolution."""
    return nn.Conv2d(a, b, kernel_size=1, bias=bias)


def single(channels: int, stride: int = 1) -> nn.Conv2d:
    """Create a depthwise 3x3 convolution."""
    return nn.Conv2d(channels, channels, kernel_size=3, stride=stride, padding=1, groups=channels, bias=False)


def joined(first: Tensor, second: Tensor) -> Tensor:
    """Concatenate two tensors, then shuffle the two groups of channels."""
    x = torch.cat((first, second), dim=1)
    n, c, h, w = x.shape
    return x.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, c, h, w)


class Stem(nn.Module):
    """Stem (docs/spec/architecture.md, section 3)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv1 = Block(nn.Conv2d(3, channels, 3, stride=2, padding=1, bias=False), relu=True)
        self.branch1 = nn.Sequential(Block(single(half, 2)), Block(full(half, half), relu=True))
        self.expand_conv = Block(full(half, channels), relu=True)
        self.depthwise_conv = Block(single(channels, 2))
        self.linear_conv = Block(full(channels, half), relu=True)

    def forward(self, x: Tensor) -> Tensor:
        """Compute 32 channels at 1/4 of the image's resolution."""
        a, b = self.conv1(x).chunk(2, dim=1)
        return joined(self.branch1(a), self.linear_conv(self.depthwise_conv(self.expand_conv(b))))


class CrossResolutionWeighting(nn.Module):
    """Cross-resolution weighting (docs/spec/architecture.md, section 5.1)."""

    def __init__(self, channels: list[int]) -> None:
        super().__init__()
        self.channels = channels
        total = sum(channels)
        self.conv1 = Block(full(total, total // 8), relu=True)
        self.conv2 = Block(full(total // 8, total))

    def forward(self, xs: list[Tensor]) -> list[Tensor]:
        """Weight every branch."""
        height, width = xs[-1].shape[-2:]
        pooled = [F.adaptive_avg_pool2d(x, (height, width)) for x in xs[:-1]] + [xs[-1]]
        weights = torch.sigmoid(self.conv2(self.conv1(torch.cat(pooled, dim=1))))
        parts = torch.split(weights, self.channels, dim=1)
        return [x * F.interpolate(w, size=x.shape[-2:], mode="nearest") for x, w in zip(xs, parts, strict=True)]


class SpatialWeighting(nn.Module):
    """Spatial weighting (docs/spec/architecture.md, section 5.3)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = Block(full(channels, channels // 4, bias=True), norm=False, relu=True)
        self.conv2 = Block(full(channels // 4, channels, bias=True), norm=False)

    def forward(self, x: Tensor) -> Tensor:
        """Weight one branch."""
        return x * torch.sigmoid(self.conv2(self.conv1(F.adaptive_avg_pool2d(x, 1))))


class LiteUnit(nn.Module):
    """Conditional channel weighting (docs/spec/architecture.md, section 5)."""

    def __init__(self, channels: list[int]) -> None:
        super().__init__()
        halves = [c // 2 for c in channels]
        self.cross_resolution_weighting = CrossResolutionWeighting(halves)
        self.depthwise_convs = nn.ModuleList(Block(single(c)) for c in halves)
        self.spatial_weighting = nn.ModuleList(SpatialWeighting(c) for c in halves)

    def forward(self, xs: list[Tensor]) -> list[Tensor]:
        """Process all branches."""
        pairs = [x.chunk(2, dim=1) for x in xs]
        qs = self.cross_resolution_weighting([q for _, q in pairs])
        qs = [conv(q) for conv, q in zip(self.depthwise_convs, qs, strict=True)]
        qs = [weigh(q) for weigh, q in zip(self.spatial_weighting, qs, strict=True)]
        return [joined(p, q) for (p, _), q in zip(pairs, qs, strict=True)]


class NaiveUnit(nn.Module):
    """Shuffle unit (docs/spec/architecture.md, section 6)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.branch2 = nn.Sequential(
            Block(full(half, half), relu=True), Block(single(half)), Block(full(half, half), relu=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Process one branch."""
        p, q = x.chunk(2, dim=1)
        return joined(p, self.branch2(q))


def upward(a: int, b: int, factor: int) -> nn.Sequential:
    """Create the map U_ij (docs/spec/architecture.md, section 7)."""
    return nn.Sequential(full(a, b), nn.BatchNorm2d(b), nn.Upsample(scale_factor=factor, mode="nearest"))


def step(a: int, b: int, *, stride: int = 2, relu: bool = True) -> nn.Sequential:
    """Create a step of D_ij, which is also a transition (docs/spec/architecture.md, sections 4 and 7)."""
    layers = [single(a, stride), nn.BatchNorm2d(a), full(a, b), nn.BatchNorm2d(b)]
    return nn.Sequential(*layers, *([nn.ReLU(inplace=True)] if relu else []))


class Module(nn.Module):
    """Two units, then the fuse layer (docs/spec/architecture.md, sections 5 to 7)."""

    def __init__(self, unit: str, channels: list[int]) -> None:
        super().__init__()
        self.lite = unit == "lite"
        if self.lite:
            self.layers: nn.Module = nn.Sequential(LiteUnit(channels), LiteUnit(channels))
        else:
            self.layers = nn.ModuleList(nn.Sequential(NaiveUnit(c), NaiveUnit(c)) for c in channels)
        self.fuse_layers = nn.ModuleList(
            nn.ModuleDict({str(j): self._map(channels, i, j) for j in range(len(channels)) if j != i})
            for i in range(len(channels))
        )

    @staticmethod
    def _map(channels: list[int], i: int, j: int) -> nn.Sequential:
        a, b = channels[j], channels[i]
        if j > i:
            return upward(a, b, 2 ** (j - i))
        return nn.Sequential(*(step(a, a) for _ in range(i - j - 1)), step(a, b, relu=False))

    def forward(self, xs: list[Tensor]) -> list[Tensor]:
        """Process all branches; the tensor of branch 0 becomes the first sum, and the other outputs read it again."""
        if self.lite:
            xs = self.layers(xs)
        else:
            assert isinstance(self.layers, nn.ModuleList)
            xs = [units(x) for units, x in zip(self.layers, xs, strict=True)]
        sums = []
        for i, maps in enumerate(self.fuse_layers):
            assert isinstance(maps, nn.ModuleDict)
            y = xs[0] if i == 0 else maps["0"](xs[0])
            for j in range(len(xs)):
                y += xs[j] if j == i else maps[str(j)](xs[j])
            sums.append(y)
        return [F.relu(y) for y in sums]


class Projection(nn.Module):
    """One step of the iterative head (docs/spec/architecture.md, section 8.1)."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__()
        self.depthwise_conv = Block(single(a))
        self.pointwise_conv = Block(full(a, b), relu=True)

    def forward(self, x: Tensor) -> Tensor:
        """Process one branch."""
        y: Tensor = self.pointwise_conv(self.depthwise_conv(x))
        return y


class Head(nn.Module):
    """Iterative head (docs/spec/architecture.md, section 8.1)."""

    def __init__(self, channels: list[int]) -> None:
        super().__init__()
        c = channels[::-1]
        self.projects = nn.ModuleList(Projection(a, b) for a, b in zip(c, [*c[1:], c[-1]], strict=True))

    def forward(self, xs: list[Tensor]) -> Tensor:
        """Merge all branches at the highest resolution."""
        z: Tensor | None = None
        for x, project in zip(xs[::-1], self.projects, strict=True):
            if z is not None:
                x = x + F.interpolate(z, size=x.shape[-2:], mode="bilinear", align_corners=True)
            z = project(x)
        assert z is not None
        return z


class Backbone(nn.Module):
    """Transitions and stages (docs/spec/architecture.md, sections 2 and 4)."""

    def __init__(self, variant_name: str) -> None:
        super().__init__()
        variant = find_variant(variant_name)
        c = list(variant.channels)
        self.stem = Stem(STEM_CHANNELS)
        stages = [
            nn.Sequential(*(Module(variant.unit.name, c[: s + 2]) for _ in range(modules)))
            for s, modules in enumerate(variant.modules)
        ]
        self.transition0 = nn.ModuleList(
            [step(STEM_CHANNELS, c[0], stride=1), nn.Sequential(step(STEM_CHANNELS, c[1]))]
        )
        self.stage0 = stages[0]
        self.transition1 = nn.ModuleDict({"2": nn.Sequential(step(c[1], c[2]))})
        self.stage1 = stages[1]
        self.transition2 = nn.ModuleDict({"3": nn.Sequential(step(c[2], c[3]))})
        self.stage2 = stages[2]
        self.head_layer = Head(c)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the features of images."""
        x = self.stem(x)
        xs: list[Tensor] = [self.transition0[0](x), self.transition0[1](x)]
        xs = self.stage0(xs)
        xs = self.stage1([*xs, self.transition1["2"](xs[-1])])
        xs = self.stage2([*xs, self.transition2["3"](xs[-1])])
        features: Tensor = self.head_layer(xs)
        return features


class ReferenceNetwork(nn.Module):
    """Backbone and final layer: images (n, 3, H, W) to heatmaps (n, joints, H/4, W/4)."""

    def __init__(self, variant: str, joints: int = 17) -> None:
        super().__init__()
        self.backbone = Backbone(variant)
        self.keypoint_head = nn.ModuleDict({"final_layer": full(find_variant(variant).channels[0], joints, bias=True)})

    def forward(self, images: Tensor) -> Tensor:
        """Compute the heatmaps of images."""
        heatmaps: Tensor = self.keypoint_head["final_layer"](self.backbone(images))
        return heatmaps


def reference_loss(output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Compute the loss joint by joint; weight is (n, joints, 1)."""
    n, joints = output.shape[:2]
    predicted = torch.split(output.reshape(n, joints, -1), 1, dim=1)
    wanted = torch.split(target.reshape(n, joints, -1), 1, dim=1)
    loss = output.new_zeros(())
    for k in range(joints):
        w = weight[:, k]
        loss = loss + F.mse_loss(predicted[k].squeeze(1) * w, wanted[k].squeeze(1) * w)
    return loss / joints


def reference_optimizer(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Create Adam that updates one parameter after the other."""
    return torch.optim.Adam(parameters, lr=2e-3, foreach=False, fused=False)
