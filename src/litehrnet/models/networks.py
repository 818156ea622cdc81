"""The networks for poses, segmentation and detection: a backbone and a head (docs/spec/architecture.md)."""

from typing import Literal, TypeAlias, TypeVar, overload

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from litehrnet.errors import UserError
from litehrnet.models.backbones import BACKBONES, SMALL_STD
from litehrnet.models.heads import DeconvolutionHead, DetectionHead, HeatmapHead, SegmentationHead
from litehrnet.variants import VARIANTS, Variant, check_input_size, find_variant

_Module = TypeVar("_Module", bound=nn.Module)


class PoseNetwork(nn.Module):
    """Backbone and heatmap head.

    Shapes:
        images float (n, 3, H, W), RGB, normalized by mean and standard deviation
        -> heatmaps float (n, keypoints, ceil(H/4), ceil(W/4)), unbounded.

    Raises:
        UserError: In ``forward``, if H or W is not accepted by ``variants.check_input_size``.

    Example:
        >>> import torch
        >>> from litehrnet.models import create_network
        >>> create_network("lite_hrnet_18", num_keypoints=4)(torch.zeros(1, 3, 64, 32)).shape
        torch.Size([1, 4, 16, 8])
    """

    def __init__(self, variant: Variant, num_keypoints: int) -> None:
        super().__init__()
        self.variant = variant
        self.num_keypoints = num_keypoints
        self.backbone = BACKBONES[variant.unit].create(variant)
        head = HeatmapHead if variant.feature_stride == 4 else DeconvolutionHead
        self.keypoint_head = head(variant.channels[0], num_keypoints)

    def forward(self, images: Tensor) -> Tensor:
        check_input_size(width=images.shape[3], height=images.shape[2])
        heatmaps: Tensor = self.keypoint_head(self.backbone(images))
        return heatmaps


class SegmentationNetwork(nn.Module):
    """Backbone, a 1x1 classifier on its highest resolution, and bilinear enlarging to the size of the image.

    docs/segmentation.md explains why the paper's network probably has the iterative head, too.
    All weights of a trained pose network except the last layer fit this network.

    Shapes:
        images float (n, 3, H, W), RGB, normalized by mean and standard deviation
        -> scores float (n, classes, H, W), unbounded; the highest score of a pixel is its class.

    Raises:
        UserError: In ``forward``, if H or W is not accepted by ``variants.check_input_size``.

    Example:
        >>> import torch
        >>> from litehrnet.models import create_network
        >>> create_network("lite_hrnet_18", num_classes=19)(torch.zeros(1, 3, 64, 32)).shape
        torch.Size([1, 19, 64, 32])
    """

    def __init__(self, variant: Variant, num_classes: int) -> None:
        super().__init__()
        self.variant = variant
        self.num_classes = num_classes
        self.backbone = BACKBONES[variant.unit].create(variant)
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

    Example:
        >>> import torch
        >>> from litehrnet.models import create_network
        >>> create_network("lite_hrnet_18", boxes=True)(torch.zeros(1, 3, 64, 64)).shape
        torch.Size([1, 5, 16, 16])
    """

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        self.variant = variant
        self.backbone = BACKBONES[variant.unit].create(variant)
        self.detection_head = DetectionHead(variant.channels[0])

    def forward(self, images: Tensor) -> Tensor:
        check_input_size(width=images.shape[3], height=images.shape[2])
        maps: Tensor = self.detection_head(self.backbone(images))
        return maps


Network: TypeAlias = PoseNetwork | SegmentationNetwork | DetectionNetwork
"""Network of any task."""

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

    Convolution weights are drawn from a normal distribution, with standard deviation 0.001 unless ``BACKBONES`` has
    another. Convolution biases are 0, and batch normalizations are the identity (docs/spec/architecture.md, section
    9). Before training has updated the running statistics, outputs in evaluation mode are practically zero.

    Args:
        variant: Name in ``litehrnet.variants``, such as ``lite_hrnet_18``.
        num_keypoints: Number of heatmaps, 1 or more.
        num_classes: Number of classes of a segmentation network, 2 to 255.
        boxes: Whether to create a detector of one class of objects.

    Raises:
        UserError: The variant is unknown or does not support the task, or the number of keypoints or classes is out of
            range.

    Example:
        >>> from litehrnet import create_network
        >>> network = create_network("lite_hrnet_18")
        >>> round(sum(parameter.numel() for parameter in network.parameters()) / 1e6, 2)
        1.13
    """
    network: Network
    if num_keypoints < 1:
        raise UserError(f"{num_keypoints} keypoints: too few for a pose network (expected at least 1)")
    entry = find_variant(variant)
    if entry.feature_stride != 4 and (boxes or num_classes is not None):
        names = ", ".join(other.name for other in VARIANTS.values() if other.feature_stride == 4)
        raise UserError(f"{variant}: finds keypoints only (expected one of {names} for segmentation and detection)")
    if boxes:
        network = DetectionNetwork(entry)
    elif num_classes is None:
        network = PoseNetwork(entry, num_keypoints)
    elif 2 <= num_classes <= 255:
        network = SegmentationNetwork(entry, num_classes)
    else:
        raise UserError(f"{num_classes} classes: out of range for a segmentation network (expected 2 to 255)")
    _draw_weights(network, entry)
    return network


def _draw_weights(network: Network, variant: Variant) -> None:
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            std = SMALL_STD
            if name.startswith("backbone.") and isinstance(module, nn.Conv2d):
                std = BACKBONES[variant.unit].initial_std(module)
            nn.init.normal_(module.weight, std=std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    if isinstance(network, DetectionNetwork):
        bias = network.detection_head.box_layer.bias
        assert bias is not None
        nn.init.constant_(bias[:1], RARE_CENTER)


def channels_last(network: _Module) -> _Module:
    """Store the weights of convolutions in channels last, in place, and return the network.

    PyTorch's ``Module.to`` would refuse the five dimensions of dynamic kernels.
    """
    for parameter in network.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return network
