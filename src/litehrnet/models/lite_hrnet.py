"""Lite-HRNet: parallel branches of four resolutions, and the two networks around them: for poses, for segmentation.

Sources: Yu et al., "Lite-HRNet: A Lightweight High-Resolution Network", CVPR 2021, table 1;
docs/spec/architecture.md, sections 2, 4, 9, 11 and 15. What the paper calls stages 2, 3 and 4 is named stage0, stage1
and stage2 here, as in published checkpoints.
"""

from collections.abc import Sequence
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
from litehrnet.variants import STEM_CHANNELS, Variant, check_input_size, find_variant

UNITS_PER_MODULE = 2


class FusedModule(nn.Module):
    """Two units on all branches, then the exchange between them: what a stage repeats."""

    def __init__(self, unit: Literal["lite", "naive"], channels: Sequence[int]) -> None:
        super().__init__()
        self.layers: nn.Module
        if unit == "lite":
            self.layers = nn.Sequential(*(ConditionalChannelWeighting(channels) for _ in range(UNITS_PER_MODULE)))
        else:
            self.layers = ShuffleUnits(channels, UNITS_PER_MODULE)
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
    """The backbone with its iterative head: images to features at 1/4 of their resolution.

    Args:
        variant: One row of ``litehrnet.variants``.

    Shapes:
        images float (n, 3, H, W) -> features float (n, variant.channels[0], ceil(H/4), ceil(W/4)).
    """

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        channels, unit = variant.channels, variant.unit
        self.stem = Stem(3, STEM_CHANNELS)
        # In a transition, the name is the number of the branch that it makes; other branches pass unchanged.
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
        UserError: In ``forward``, when a fusion could not take H or W (see ``variants.check_input_size``).
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

    The paper gives 1.95 and 3.02 GMACs for one image of 512 x 1024 (its table of Cityscapes) and does not say of which
    layers. What the convolutions of each reading take, in 10^9 multiply-accumulates, by ``litehrnet summary``:

    =========================================================  =============  =============
    reading                                                    Lite-HRNet-18  Lite-HRNet-30
    =========================================================  =============  =============
    the paper                                                  1.95           3.02
    iterative head, classifier                                 2.120          3.302
    no head, classifier                                        1.967          3.149
    iterative head, classifier, counted without the
    convolutions of cross-resolution weighting                 1.969          3.036
    =========================================================  =============  =============

    The last one is within 1 % of both figures, the one without a head 4 % from the second: this is the network with
    the head, and whoever counted it left those small convolutions out, whose cost the paper calls negligible. It is
    also the one that every weight of a trained pose network but its last layer fits.

    Shapes:
        images float (n, 3, H, W), RGB, normalized by mean and standard deviation
        -> scores float (n, classes, H, W), unbounded: the class of a pixel is the one of the highest score.

    Raises:
        UserError: In ``forward``, when a fusion could not take H or W (see ``variants.check_input_size``).
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
    """Backbone and one 1x1 layer of five maps: a detector of one class of objects.

    Shapes:
        images float (n, 3, H, W), RGB, normalized by mean and standard deviation
        -> maps float (n, 5, ceil(H/4), ceil(W/4)): logit of an object's center, then the logarithms of the distances to
        the left, top, right and bottom of its box (see ``litehrnet.detection.maps``).

    Raises:
        UserError: In ``forward``, when a fusion could not take H or W (see ``variants.check_input_size``).
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
"""What is trained, kept and run: the same backbone in all three."""

RARE_CENTER = -4.6
"""Bias of the center scores at the start: a score of 0.01, so that the many empty cells do not drown the few objects
(Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, section 4.1)."""


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

    Every convolution weight is drawn from a normal distribution of standard deviation 0.001, every convolution bias
    is 0, every batch normalization starts as the identity (docs/spec/architecture.md, section 9). Until training has
    set the running statistics, outputs in evaluation mode are practically zero.

    Args:
        variant: ``lite_hrnet_18``, ``lite_hrnet_30``, ``naive_lite_hrnet_18`` or ``wider_naive_lite_hrnet_18``.
        num_keypoints: Heatmaps to give, 1 or more.
        num_classes: What a pixel may be, 2 to 255.
        boxes: Whether it finds the boxes of one class of objects.

    Raises:
        UserError: There is no such variant, no keypoint, or no such number of classes.
    """
    network: Network
    if num_keypoints < 1:
        raise UserError(f"{num_keypoints} keypoints: a pose network needs at least one")
    if boxes:
        network = DetectionNetwork(find_variant(variant))
    elif num_classes is None:
        network = PoseNetwork(find_variant(variant), num_keypoints)
    elif 2 <= num_classes <= 255:
        network = SegmentationNetwork(find_variant(variant), num_classes)
    else:
        raise UserError(f"{num_classes} classes: a segmentation network has 2 to 255")
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
