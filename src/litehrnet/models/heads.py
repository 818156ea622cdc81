"""Heads: iterative head, heatmap, deconvolution, segmentation and detection head.

Source: docs/spec/architecture.md, sections 8, 15 and 16.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from litehrnet.detection.objects import MAPS
from litehrnet.models.blocks import ConvBlock, depthwise, pointwise
from litehrnet.variants import DECONVOLUTION_CHANNELS


class Projection(nn.Module):
    """Depthwise 3x3 and pointwise convolution, each with batch normalization; ReLU only after the second."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.depthwise_conv = ConvBlock(depthwise(in_channels))
        self.pointwise_conv = ConvBlock(pointwise(in_channels, out_channels), activation=nn.ReLU)

    def forward(self, x: Tensor) -> Tensor:
        projected: Tensor = self.pointwise_conv(self.depthwise_conv(x))
        return projected


class IterativeHead(nn.Module):
    """Merging of all branches, from the lowest resolution to the highest: project, enlarge, add to the next branch."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        upward = list(reversed(channels))
        self.projects = nn.ModuleList(Projection(a, b) for a, b in zip(upward, [*upward[1:], upward[-1]], strict=True))

    def forward(self, branches: list[Tensor]) -> Tensor:
        lowest, *higher = reversed(branches)
        z: Tensor = self.projects[0](lowest)
        for x, project in zip(higher, self.projects[1:], strict=True):
            # With aligned corners, as in the reference implementation, neighbors end up more than two pixels apart.
            z = project(x + F.interpolate(z, scale_factor=2, mode="bilinear", align_corners=True))
        return z


class HeatmapHead(nn.Module):
    """1x1 convolution with bias and without activation: one heatmap per keypoint."""

    def __init__(self, in_channels: int, num_keypoints: int) -> None:
        super().__init__()
        self.final_layer = pointwise(in_channels, num_keypoints, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        heatmaps: Tensor = self.final_layer(x)
        return heatmaps


class DeconvolutionHead(nn.Module):
    """Heatmap head of networks that end at 1/32: three transposed convolutions, each of which doubles both sides."""

    def __init__(self, in_channels: int, num_keypoints: int) -> None:
        super().__init__()
        self.deconv_layers = nn.Sequential()
        for channels in (in_channels, DECONVOLUTION_CHANNELS, DECONVOLUTION_CHANNELS):
            self.deconv_layers.extend(
                (
                    nn.ConvTranspose2d(channels, DECONVOLUTION_CHANNELS, 4, stride=2, padding=1, bias=False),
                    nn.BatchNorm2d(DECONVOLUTION_CHANNELS),
                    nn.ReLU(),
                )
            )
        self.final_layer = pointwise(DECONVOLUTION_CHANNELS, num_keypoints, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        heatmaps: Tensor = self.final_layer(self.deconv_layers(x))
        return heatmaps


class SegmentationHead(nn.Module):
    """1x1 convolution with bias and without activation: one map of scores per class."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.classifier = pointwise(in_channels, num_classes, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.classifier(x)
        return scores


class DetectionHead(nn.Module):
    """1x1 convolution with bias and without activation: the five maps of ``litehrnet.detection``."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.box_layer = pointwise(in_channels, MAPS, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        maps: Tensor = self.box_layer(x)
        return maps
