"""Lite-HRNet: parallel branches of four resolutions, and the networks for poses, segmentation and detection.

Sources: Yu et al., "Lite-HRNet: A Lightweight High-Resolution Network", CVPR 2021, table 1;
docs/spec/architecture.md, sections 2, 4, 9, 11 and 15. The paper's stages 2, 3 and 4 are named stage0, stage1 and
stage2, as in the reference implementation's checkpoints.
"""

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias, overload

import torch.nn.functional as F
from torch import Tensor, nn

from litehrnet.errors import UserError
from litehrnet.models.blocks import (
    ConditionalChannelWeighting,
    Fuse,
    ShuffleUnits,
    Stem,
    depthwise,
    pointwise,
)
from litehrnet.models.heads import DetectionHead, HeatmapHead, IterativeHead, SegmentationHead
from litehrnet.variants import (
    LITE,
    NAIVE,
    STEM_CHANNELS,
    UNITS_PER_MODULE,
    Unit,
    Variant,
    check_input_size,
    find_variant,
)


def _lite_units(channels: Sequence[int]) -> nn.Module:
    return nn.Sequential(*(ConditionalChannelWeighting(channels) for _ in range(UNITS_PER_MODULE)))


def _naive_units(channels: Sequence[int]) -> nn.Module:
    return ShuffleUnits(channels, UNITS_PER_MODULE)


BLOCKS: dict[Unit, Callable[[Sequence[int]], nn.Module]] = {LITE: _lite_units, NAIVE: _naive_units}
"""The units of one module, for the channels of its branches."""


class FusedModule(nn.Module):
    """Module that a stage repeats: two units on all branches, then the exchange between the branches."""

    def __init__(self, unit: Unit, channels: Sequence[int]) -> None:
        super().__init__()
        self.layers = BLOCKS[unit](channels)
        self.fuse_layers = Fuse(channels)
        self.activation = nn.ReLU()

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        return [self.activation(x) for x in self.fuse_layers(self.layers(branches))]


def _transition(in_channels: int, out_channels: int, *, stride: int) -> nn.Sequential:
    return nn.Sequential(
        depthwise(in_channels, stride=stride),
        nn.BatchNorm2d(in_channels),
        pointwise(in_channels, out_channels),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    )


class LiteHRNet(nn.Module):
    """Backbone with its iterative head: images to features at 1/4 of their resolution.

    Args:
        variant: Entry of ``litehrnet.variants``.

    Shapes:
        images float (n, 3, H, W) -> features float (n, variant.channels[0], ceil(H/4), ceil(W/4)).
    """

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        channels, unit = variant.channels, variant.unit
        self.stem = Stem(3, STEM_CHANNELS)
        # Each name is the number of the branch that the transition creates; other branches are unchanged.
        self.transition0 = nn.ModuleDict(
            {
                "0": _transition(STEM_CHANNELS, channels[0], stride=1),
                "1": nn.Sequential(_transition(STEM_CHANNELS, channels[1], stride=2)),
            }
        )
        self.stage0 = nn.Sequential(*(FusedModule(unit, channels[:2]) for _ in range(variant.modules[0])))
        self.transition1 = nn.ModuleDict({"2": nn.Sequential(_transition(channels[1], channels[2], stride=2))})
        self.stage1 = nn.Sequential(*(FusedModule(unit, channels[:3]) for _ in range(variant.modules[1])))
        self.transition2 = nn.ModuleDict({"3": nn.Sequential(_transition(channels[2], channels[3], stride=2))})
        self.stage2 = nn.Sequential(*(FusedModule(unit, channels) for _ in range(variant.modules[2])))
        self.head_layer = IterativeHead(channels)

    def forward(self, images: Tensor) -> Tensor:
        x = self.stem(images)
        branches = self.stage0([self.transition0["0"](x), self.transition0["1"](x)])
        branches = self.stage1([*branches, self.transition1["2"](branches[-1])])
        branches = self.stage2([*branches, self.transition2["3"](branches[-1])])
        features: Tensor = self.head_layer(branches)
        return features


class PoseNetwork(nn.Module):
    """Backbone and heatmap head.

    Shapes:
        images float (n, 3, H, W), RGB, normalized by mean and standard deviation
        -> heatmaps float (n, keypoints, ceil(H/4), ceil(W/4)), unbounded.

    Raises:
        UserError: In ``forward``, if H or W is not accepted by ``variants.check_input_size``.
    """

    def __init__(self, variant: Variant, num_keypoints: int) -> None:
        super().__init__()
        self.variant = variant
        self.num_keypoints = num_keypoints
        self.backbone = LiteHRNet(variant)
        self.keypoint_head = HeatmapHead(variant.channels[0], num_keypoints)

    def forward(self, images: Tensor) -> Tensor:
        check_input_size(width=images.shape[3], height=images.shape[2])
        heatmaps: Tensor = self.keypoint_head(self.backbone(images))
        return heatmaps


class SegmentationNetwork(nn.Module):
    """Backbone, a 1x1 classifier on its highest resolution, and bilinear enlarging to the size of the image.

    The paper's Cityscapes table reports 1.95 and 3.02 GMACs for one image of 512 x 1024, without naming the counted
    layers. ``litehrnet summary`` counts, in 10^9 multiply-accumulates of the convolutions:

    =========================================================  =============  =============
    network and counted layers                                 Lite-HRNet-18  Lite-HRNet-30
    =========================================================  =============  =============
    the paper                                                  1.95           3.02
    iterative head, classifier                                 2.120          3.302
    no head, classifier                                        1.967          3.149
    iterative head, classifier, counted without the
    convolutions of cross-resolution weighting                 1.969          3.036
    =========================================================  =============  =============

    The last row is within 1 % of both numbers; the row without a head differs from the second by 4 %. So this
    network has the head, and the paper probably left out those small convolutions, whose cost it calls negligible.
    All weights of a trained pose network except the last layer fit this network.

    Shapes:
        images float (n, 3, H, W), RGB, normalized by mean and standard deviation
        -> scores float (n, classes, H, W), unbounded; the highest score of a pixel is its class.

    Raises:
        UserError: In ``forward``, if H or W is not accepted by ``variants.check_input_size``.
    """

    def __init__(self, variant: Variant, num_classes: int) -> None:
        super().__init__()
        self.variant = variant
        self.num_classes = num_classes
        self.backbone = LiteHRNet(variant)
        self.segmentation_head = SegmentationHead(variant.channels[0], num_classes)

    def forward(self, images: Tensor) -> Tensor:
        check_input_size(width=images.shape[3], height=images.shape[2])
        scores = self.segmentation_head(self.backbone(images))
        return F.interpolate(scores, size=images.shape[2:], mode="bilinear", align_corners=False)


class DetectionNetwork(nn.Module):
    """Detector of one class of objects: backbone and one 1x1 layer with five maps.

    Shapes:
        images float (n, 3, H, W), RGB, normalized by mean and standard deviation
        -> maps float (n, 5, ceil(H/4), ceil(W/4)): logit of an object's center, then the logarithms of the distances to
        the left, top, right and bottom of its box (see ``litehrnet.detection.maps``).

    Raises:
        UserError: In ``forward``, if H or W is not accepted by ``variants.check_input_size``.
    """

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        self.variant = variant
        self.backbone = LiteHRNet(variant)
        self.detection_head = DetectionHead(variant.channels[0])

    def forward(self, images: Tensor) -> Tensor:
        check_input_size(width=images.shape[3], height=images.shape[2])
        maps: Tensor = self.detection_head(self.backbone(images))
        return maps


Network: TypeAlias = PoseNetwork | SegmentationNetwork | DetectionNetwork
"""Network of any task; all have the same backbone."""

RARE_CENTER = -4.6
"""Initial bias of the center scores: a score of 0.01, so that the many empty cells do not dominate the loss.

Source: Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, section 4.1."""


@overload
def create_network(variant: str, num_keypoints: int = 17) -> PoseNetwork: ...


@overload
def create_network(variant: str, *, num_classes: int) -> SegmentationNetwork: ...


@overload
def create_network(variant: str, *, boxes: Literal[True]) -> DetectionNetwork: ...


def create_network(
    variant: str, num_keypoints: int = 17, *, num_classes: int | None = None, boxes: bool = False
) -> Network:
    """Create a pose network, a segmentation network (``num_classes``) or a detector (``boxes``), in training mode.

    Convolution weights are drawn from a normal distribution with standard deviation 0.001. Convolution biases are 0,
    and batch normalizations are the identity (docs/spec/architecture.md, section 9). Before training has updated the
    running statistics, outputs in evaluation mode are practically zero.

    Args:
        variant: ``lite_hrnet_18``, ``lite_hrnet_30``, ``naive_lite_hrnet_18`` or ``wider_naive_lite_hrnet_18``.
        num_keypoints: Number of heatmaps, 1 or more.
        num_classes: Number of classes of a segmentation network, 2 to 255.
        boxes: Whether to create a detector of one class of objects.

    Raises:
        UserError: The variant is unknown, or the number of keypoints or classes is out of range.
    """
    network: Network
    if num_keypoints < 1:
        raise UserError(f"{num_keypoints} keypoints: too few for a pose network (expected at least 1)")
    if boxes:
        network = DetectionNetwork(find_variant(variant))
    elif num_classes is None:
        network = PoseNetwork(find_variant(variant), num_keypoints)
    elif 2 <= num_classes <= 255:
        network = SegmentationNetwork(find_variant(variant), num_classes)
    else:
        raise UserError(f"{num_classes} classes: out of range for a segmentation network (expected 2 to 255)")
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=0.001)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    if isinstance(network, DetectionNetwork):
        bias = network.detection_head.box_layer.bias
        assert bias is not None
        nn.init.constant_(bias[:1], RARE_CENTER)
    return network
