"""The building blocks of Dite-HRNet: dynamic convolution, global and dense context, split convolution, stem.

Sources: Li et al., "Dite-HRNet: Dynamic Lightweight High-Resolution Network for Human Pose Estimation", IJCAI 2022;
docs/spec/architecture.md, section 20. Attribute names follow the parameter names of its published checkpoints.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from litehrnet.models.blocks import ConvBlock, channel_shuffle, conv3, depthwise, pointwise, weight_branches
from litehrnet.variants import DENSE_REDUCTION, SPLITS


class KernelAttention(nn.Module):
    """One weight from 0 to 1 for each of several kernels, computed from the mean of the features."""

    def __init__(self, channels: int, kernels: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.conv1 = pointwise(channels, channels // 4)
        self.bn = nn.BatchNorm2d(channels // 4)
        self.relu = nn.ReLU()
        self.conv2 = pointwise(channels // 4, kernels, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.conv2(self.relu(self.bn(self.conv1(self.pool(x))))))


class KernelAggregation(nn.Module):
    """Convolution with a weighted sum of kernels; each image has its own weights.

    The kernels start He-uniform by their number of inputs. A convolution is linear in its kernel, so the results of
    all kernels are summed: unlike a kernel per image, that can be exported for any number of images.

    Shapes:
        x float (n, in_channels, h, w), weights float (n, kernels, 1, 1)
        -> float (n, out_channels, ceil(h / stride), ceil(w / stride)).
    """

    def __init__(
        self, in_channels: int, out_channels: int, size: int, *, stride: int, groups: int, kernels: int
    ) -> None:
        super().__init__()
        self.stride, self.padding, self.groups = stride, size // 2, groups
        self.weight = nn.Parameter(torch.empty(kernels, out_channels, in_channels // groups, size, size))
        bound = (6 / (in_channels // groups * size**2)) ** 0.5
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        _, outputs, *_ = self.weight.shape
        kernels = self.weight.transpose(0, 1).flatten(0, 1)  # the kernels of an output follow each other
        results = F.conv2d(x, kernels, None, self.stride, self.padding, 1, self.groups)
        rows = results.permute(0, 2, 3, 1)  # so that the sum stays channels last
        rows = rows.reshape(*rows.shape[:3], outputs, -1)
        total: Tensor = (rows * weights[:, None, None, None, :, 0, 0]).sum(dim=4)
        return total.permute(0, 3, 1, 2)


class DynamicConv(nn.Module):
    """Convolution whose kernel depends on the image."""

    def __init__(
        self, in_channels: int, out_channels: int, size: int, *, stride: int = 1, groups: int = 1, kernels: int = 4
    ) -> None:
        super().__init__()
        self.attention = KernelAttention(in_channels, kernels)
        self.aggregation = KernelAggregation(
            in_channels, out_channels, size, stride=stride, groups=groups, kernels=kernels
        )

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.aggregation(x, self.attention(x))
        return result


class DynamicBlock(nn.Module):
    """Dynamic convolution with batch normalization and optional ReLU."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        size: int,
        *,
        stride: int = 1,
        groups: int = 1,
        kernels: int = 4,
        relu: bool = False,
    ) -> None:
        super().__init__()
        self.conv = DynamicConv(in_channels, out_channels, size, stride=stride, groups=groups, kernels=kernels)
        self.bn = nn.BatchNorm2d(out_channels)
        self.activation = nn.ReLU() if relu else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn(self.conv(x))
        return x if self.activation is None else self.activation(x)


def _dynamic_depthwise(
    channels: int, *, size: int = 3, stride: int = 1, kernels: int = 4, relu: bool = False
) -> DynamicBlock:
    return DynamicBlock(channels, channels, size, stride=stride, groups=channels, kernels=kernels, relu=relu)


def _channel_attention(channels: int, reduction: int) -> nn.Sequential:
    """Create the two layers that turn pooled features into one weight per channel."""
    hidden = channels // reduction
    return nn.Sequential(
        pointwise(channels, hidden),
        nn.BatchNorm2d(hidden),
        nn.ReLU(),
        pointwise(hidden, channels, bias=True),
        nn.Sigmoid(),
    )


class GlobalContext(nn.Module):
    """One weight per channel, computed from a weighted mean over all positions; then batch normalization."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.conv_mask = pointwise(channels, 1, bias=True)
        self.channel_attention = _channel_attention(channels, reduction)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        mask = self.conv_mask(x).flatten(2).softmax(dim=2)
        pooled = x.flatten(2) @ mask.transpose(1, 2)
        weighted: Tensor = self.bn(x * self.channel_attention(pooled.unsqueeze(3)))
        return weighted


class DenseContext(nn.Module):
    """Weights for every channel and position, computed from all resolutions together.

    Like the reference implementation, it has a mask for the lowest branch that nothing reads.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.conv_mask = nn.ModuleList(pointwise(c, 1, bias=True) for c in channels)
        self.channel_attention = _channel_attention(sum(channels), DENSE_REDUCTION)

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        *higher, lowest = branches
        height, width = lowest.shape[2:]
        pooled = [pool_runs(x, mask(x), height, width) for x, mask in zip(higher, self.conv_mask, strict=False)]
        return weight_branches(branches, self.channel_attention(torch.cat([*pooled, lowest], dim=1)))


def pool_runs(x: Tensor, logits: Tensor, height: int, width: int) -> Tensor:
    """Pool (n, c, H, W) to (n, c, height, width) by the softmax of ``logits`` (n, 1, H, W) over all positions.

    A cell does not pool the positions around it. The published network reads the numbers of one image, channel by
    channel and row by row, as (cells, c, run); cell s pools run s of every such row with the weights of the s-th run of
    positions. Trained weights depend on it (docs/spec/architecture.md, section 20.3).
    """
    channels, cells = x.shape[1], height * width
    weights = logits.flatten(1).softmax(dim=1).reshape(-1, cells, logits[0].numel() // cells, 1)
    runs = x.flatten(1).reshape(-1, cells, channels, x[0, 0].numel() // cells)
    pooled: Tensor = (runs @ weights).squeeze(3).transpose(1, 2)
    return pooled.reshape(-1, channels, height, width)


class SplitConv(nn.Module):
    """Depthwise convolutions of groups of channels, with kernels of 3, 5, 7 and 9 pixels; then a shuffle."""

    def __init__(self, channels: int, groups: int, kernels: int) -> None:
        super().__init__()
        width = channels // groups
        self.conv = nn.ModuleList(
            _dynamic_depthwise(width, size=size, kernels=kernels)
            if kernels > 1
            else ConvBlock(depthwise(width, size=size))
            for size in range(3, 3 + 2 * groups, 2)
        )

    def forward(self, x: Tensor) -> Tensor:
        parts = x.chunk(len(self.conv), dim=1)
        results = [conv(part) for conv, part in zip(self.conv, parts, strict=True)]
        return channel_shuffle(*results) if len(results) > 1 else results[0]


class DynamicUnit(nn.Module):
    """Unit of Dite-HRNet for all branches together, in place of conditional channel weighting."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        halves = [c // 2 for c in channels]
        branches = list(zip(halves, SPLITS[: len(halves)], strict=True))
        self.dcm = DenseContext(halves)
        self.conv = nn.ModuleList(SplitConv(c, groups, kernels) for c, (groups, kernels, _) in branches)
        self.gcm = nn.ModuleList(GlobalContext(c, reduction) for c, (_, _, reduction) in branches)

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        halves = [x.chunk(2, dim=1) for x in branches]
        weighted = self.dcm([q for _, q in halves])
        weighted = [context(conv(q)) for context, conv, q in zip(self.gcm, self.conv, weighted, strict=True)]
        return [channel_shuffle(p, q) for (p, _), q in zip(halves, weighted, strict=True)]


class DynamicStem(nn.Module):
    """Image to features at 1/4 of its resolution: a 3x3 convolution, then dynamic convolutions and global context."""

    def __init__(self, image_channels: int, channels: int) -> None:
        super().__init__()
        half, quarter = channels // 2, channels // 8
        self.conv1 = ConvBlock(conv3(image_channels, channels, stride=2), activation=nn.ReLU)
        self.branch1 = nn.Sequential(
            _dynamic_depthwise(half, stride=2),
            GlobalContext(half, 4),
            DynamicBlock(half, half, 1, relu=True),
        )
        self.branch2 = nn.Sequential(
            _dynamic_depthwise(half),
            GlobalContext(half, 4),
            DynamicBlock(half, quarter, 1, relu=True),
            DynamicBlock(quarter, half, 1),
            _dynamic_depthwise(half, stride=2, relu=True),
        )

    def forward(self, image: Tensor) -> Tensor:
        a, b = self.conv1(image).chunk(2, dim=1)
        return channel_shuffle(self.branch1(a), self.branch2(b))
