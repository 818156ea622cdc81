"""The building blocks of Lite-HRNet: stem, conditional channel weighting, shuffle unit, fusion.

Sources: Yu et al., "Lite-HRNet: A Lightweight High-Resolution Network", CVPR 2021, section 3 and figures 3 and 4;
docs/spec/architecture.md, sections 3 to 7. Attribute names follow the parameter names of the reference
implementation's checkpoints.

Branches are numbered from 0, the highest resolution (1/4 of the image); each next branch halves both sides. Tensors
are (images, channels, height, width). A convolution before a batch normalization has no bias.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from litehrnet.variants import CROSS_RESOLUTION_REDUCTION, SPATIAL_REDUCTION


class ConvBlock(nn.Module):
    """Convolution with optional batch normalization and optional activation."""

    def __init__(self, conv: nn.Conv2d, *, norm: bool = True, activation: type[nn.Module] | None = None) -> None:
        super().__init__()
        self.conv = conv
        self.bn = nn.BatchNorm2d(conv.out_channels) if norm else None
        self.activation = None if activation is None else activation()

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        if self.bn is not None:
            x = self.bn(x)
            if self.training and isinstance(self.activation, nn.ReLU):
                return x.relu_()  # nothing else uses x; not in exported graphs, where writing in place adds nodes
        return x if self.activation is None else self.activation(x)


class Pointwise(nn.Conv2d):
    """1x1 convolution, computed as a matrix product when training on a CPU in channels last."""

    def forward(self, x: Tensor) -> Tensor:
        channels_last = x.stride(1) == 1 and self.weight.stride(3) == self.in_channels
        if self.training and channels_last and x.device.type == "cpu":
            # Permuted, not squeezed: so the gradient has the strides of the weight, as distributed training requires.
            matrix = self.weight.permute(0, 2, 3, 1).flatten(1)
            return F.linear(x.permute(0, 2, 3, 1), matrix, self.bias).permute(0, 3, 1, 2)
        return super().forward(x)


def pointwise(in_channels: int, out_channels: int, *, bias: bool = False) -> nn.Conv2d:
    """Create a 1x1 convolution."""
    return Pointwise(in_channels, out_channels, 1, bias=bias)


def depthwise(channels: int, *, size: int = 3, stride: int = 1) -> nn.Conv2d:
    """Create a convolution of each channel separately, with a square kernel."""
    return nn.Conv2d(channels, channels, size, stride, padding=size // 2, groups=channels, bias=False)


def conv3(in_channels: int, out_channels: int, *, stride: int = 1) -> nn.Conv2d:
    """Create a dense 3x3 convolution."""
    return nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)


def channel_shuffle(*parts: Tensor) -> Tensor:
    """Interleave tensors of the same shape channel by channel, beginning with the first."""
    if parts[0].stride(1) == 1:  # the result stays in channels last
        return torch.stack([x.permute(0, 2, 3, 1) for x in parts], dim=-1).flatten(-2).permute(0, 3, 1, 2)
    images, channels, height, width = parts[0].shape
    # Stacking beside the channels gives the same, with twice as many nodes in exported graphs.
    return torch.cat(parts, dim=2).reshape(images, len(parts) * channels, height, width)


def weight_branches(branches: Sequence[Tensor], weights: Tensor) -> list[Tensor]:
    """Multiply every branch by its channels of ``weights``, enlarged from the lowest resolution.

    Shapes:
        branches float (n, c_b, h * f_b, w * f_b) with f_b = 2^(branches - 1 - b), weights float (n, sum of c_b, h, w).
    """
    parts = torch.split(weights, [x.shape[1] for x in branches], dim=1)
    # Enlarging by a constant factor, not to the size of a tensor, avoids shape arithmetic in exported graphs.
    factors = [2 ** (len(branches) - 1 - b) for b in range(len(branches))]
    return [
        x * (F.interpolate(w, scale_factor=f, mode="nearest") if f > 1 else w)
        for x, w, f in zip(branches, parts, factors, strict=True)
    ]


class Stem(nn.Module):
    """Image to features at 1/4 of its resolution: a 3x3 convolution, then one shuffle unit of stride 2."""

    def __init__(self, image_channels: int, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv1 = ConvBlock(conv3(image_channels, channels, stride=2), activation=nn.ReLU)
        self.branch1 = nn.Sequential(
            ConvBlock(depthwise(half, stride=2)),
            ConvBlock(pointwise(half, half), activation=nn.ReLU),
        )
        self.expand_conv = ConvBlock(pointwise(half, channels), activation=nn.ReLU)
        self.depthwise_conv = ConvBlock(depthwise(channels, stride=2))
        self.linear_conv = ConvBlock(pointwise(channels, half), activation=nn.ReLU)

    def forward(self, image: Tensor) -> Tensor:
        a, b = self.conv1(image).chunk(2, dim=1)
        a = self.branch1(a)
        b = self.linear_conv(self.depthwise_conv(self.expand_conv(b)))
        return channel_shuffle(a, b)


class CrossResolutionWeighting(nn.Module):
    """Weights for every channel and position, computed from all resolutions together (paper, equation 2)."""

    def __init__(self, channels: Sequence[int], reduction: int) -> None:
        super().__init__()
        total = sum(channels)
        self.conv1 = ConvBlock(pointwise(total, total // reduction), activation=nn.ReLU)
        self.conv2 = ConvBlock(pointwise(total // reduction, total))

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        # Branch b is 2^(n-1-b) times as large as the lowest one. Pooling by this constant factor avoids shape
        # arithmetic in exported graphs.
        factors = [2 ** (len(branches) - 1 - b) for b in range(len(branches))]
        pooled = [F.avg_pool2d(x, f) if f > 1 else x for x, f in zip(branches, factors, strict=True)]
        return weight_branches(branches, torch.sigmoid(self.conv2(self.conv1(torch.cat(pooled, dim=1)))))


class SpatialWeighting(nn.Module):
    """One weight per channel, computed from its mean over the image (paper, equation 4)."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.conv1 = ConvBlock(pointwise(channels, channels // reduction, bias=True), norm=False, activation=nn.ReLU)
        self.conv2 = ConvBlock(pointwise(channels // reduction, channels, bias=True), norm=False)

    def forward(self, x: Tensor) -> Tensor:
        # The gradient of a sum is a view of one number per channel; that of a pooling layer is as large as x.
        pooled = x.sum((2, 3), keepdim=True) / (x.shape[2] * x.shape[3]) if self.training else self.pool(x)
        return x * self.gate(self.conv2(self.conv1(pooled)))

    def gate(self, x: Tensor) -> Tensor:
        """Convert a number of any size to a weight, 0..1."""
        return torch.sigmoid(x)


class ConditionalChannelWeighting(nn.Module):
    """Unit of Lite-HRNet for all branches together (figure 4 (b)): channel weights replace 1x1 convolutions."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        halves = [c // 2 for c in channels]
        self.cross_resolution_weighting = CrossResolutionWeighting(halves, CROSS_RESOLUTION_REDUCTION)
        self.depthwise_convs = nn.ModuleList(ConvBlock(depthwise(c)) for c in halves)
        self.spatial_weighting = nn.ModuleList(SpatialWeighting(c, SPATIAL_REDUCTION) for c in halves)

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        halves = [x.chunk(2, dim=1) for x in branches]
        weighted = self.cross_resolution_weighting([q for _, q in halves])
        weighted = [conv(q) for conv, q in zip(self.depthwise_convs, weighted, strict=True)]
        weighted = [weigh(q) for weigh, q in zip(self.spatial_weighting, weighted, strict=True)]
        return [channel_shuffle(p, q) for (p, _), q in zip(halves, weighted, strict=True)]


class ShuffleUnit(nn.Module):
    """Unit of Naive Lite-HRNet for one branch (figure 4 (a)): the one of ShuffleNet V2, with two 1x1 convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.branch2 = nn.Sequential(
            ConvBlock(pointwise(half, half), activation=nn.ReLU),
            ConvBlock(depthwise(half)),
            ConvBlock(pointwise(half, half), activation=nn.ReLU),
        )

    def forward(self, x: Tensor) -> Tensor:
        p, q = x.chunk(2, dim=1)
        return channel_shuffle(p, self.branch2(q))


class ShuffleUnits(nn.ModuleList):
    """Sequences of shuffle units, a separate one for each branch."""

    def __init__(self, channels: Sequence[int], units: int) -> None:
        super().__init__(nn.Sequential(*(ShuffleUnit(c) for _ in range(units))) for c in channels)

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        return [units(x) for units, x in zip(self, branches, strict=True)]


class TwiceTrackedBatchNorm(nn.BatchNorm2d):
    """Batch normalization that updates its running statistics as if it were evaluated twice.

    The reference implementation evaluates the maps from branch 0 downward twice on the same input. With the same
    batch statistics b, two updates r <- 0.9 r + 0.1 b equal one update r <- 0.81 r + 0.19 b
    (docs/spec/architecture.md, quirk 3).
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, momentum=0.19)

    def forward(self, x: Tensor) -> Tensor:
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)  # the second update; BatchNorm2d counts the first
        return super().forward(x)


def upward(in_channels: int, out_channels: int, factor: int) -> nn.Sequential:
    """Create the map from a lower resolution to one that is ``factor`` times as large."""
    return nn.Sequential(
        pointwise(in_channels, out_channels),
        nn.BatchNorm2d(out_channels),
        nn.Upsample(scale_factor=factor, mode="nearest"),
    )


def _downward(in_channels: int, out_channels: int, steps: int, norm: type[nn.BatchNorm2d]) -> nn.Sequential:
    """Create the map that halves the resolution ``steps`` times; the last step changes the channels, without ReLU."""
    chain = nn.Sequential()
    for step in range(steps):
        last = step == steps - 1
        step_channels = out_channels if last else in_channels
        chain.append(
            nn.Sequential(
                depthwise(in_channels, stride=2),
                norm(in_channels),
                pointwise(in_channels, step_channels),
                norm(step_channels),
                *([] if last else [nn.ReLU(inplace=True)]),
            )
        )
    return chain


class Fuse(nn.ModuleList):
    """Exchange between all branches at the end of a module, exactly as in the reference implementation.

    The final ReLU is not included. The reference implementation accumulates the output of branch 0 in the tensor
    that holds its input, and reads this tensor again for the other outputs. The result is therefore not the plain
    sum of one term per branch, but (docs/spec/architecture.md, section 7; U increases the resolution, D reduces it)

        S   = 2 x_0 + sum over j > 0 of U_0j(x_j)
        y_i = 2 D_i0(S) + sum over 0 < j < i of D_ij(x_j) + x_i + sum over j > i of U_ij(x_j)        for i > 0

    with S as output 0. Trained weights depend on it: branch 0 counts twice, and the lower branches use the fused sum.

    ``self[i][str(j)]`` is the map from branch j to output i, for i and j that differ.

    Args:
        channels: Channels of the branches.
        rectified: Whether the lower branches see ReLU(S) in place of S, as in Dite-HRNet
            (docs/spec/architecture.md, section 20).
    """

    def __init__(self, channels: Sequence[int], rectified: bool = False) -> None:
        numbers = range(len(channels))
        super().__init__(nn.ModuleDict({str(j): _fuse_map(channels, i, j) for j in numbers if j != i}) for i in numbers)
        self.rectified = rectified

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        fused: list[Tensor] = []
        for i in range(len(branches)):
            total = 2 * (branches[0] if i == 0 else self._from(0, i, fused[0]))
            for j in range(1, len(branches)):
                total += branches[i] if j == i else self._from(j, i, branches[j])
            fused.append(torch.relu(total) if self.rectified and i == 0 else total)
        return fused

    def _from(self, j: int, i: int, x: Tensor) -> Tensor:
        maps = self[i]
        assert isinstance(maps, nn.ModuleDict)
        mapped: Tensor = maps[str(j)](x)
        return mapped


def _fuse_map(channels: Sequence[int], i: int, j: int) -> nn.Sequential:
    """Create U_ij or D_ij. The reference implementation evaluates only the maps from branch 0 downward twice."""
    if j > i:
        return upward(channels[j], channels[i], factor=2 ** (j - i))
    norm = TwiceTrackedBatchNorm if j == 0 else nn.BatchNorm2d
    return _downward(channels[j], channels[i], steps=i - j, norm=norm)
