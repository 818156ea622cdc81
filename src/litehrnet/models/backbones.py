"""Backbones by unit, and the distribution of their initial weights."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from litehrnet.models.lite_hrnet import LiteHRNet
from litehrnet.models.mobilenet import MobileNetV2, MobileNetV3
from litehrnet.models.shufflenet import ShuffleNetV2
from litehrnet.models.small_hrnet import SmallHRNet
from litehrnet.variants import BASIC, DYNAMIC, INVERTED, LITE, NAIVE, SEARCHED, SHUFFLED, Unit, Variant

SMALL_STD = 0.001
"""Standard deviation of the initial weights of heads and of the high-resolution networks."""


def _small(_: nn.Conv2d) -> float:
    return SMALL_STD


def _by_outputs(conv: nn.Conv2d) -> float:
    # The published code does not divide by the groups, so depthwise weights start small.
    outputs, _, height, width = conv.weight.shape
    return float((2 / (outputs * height * width)) ** 0.5)


def _by_inputs(conv: nn.Conv2d) -> float:
    return 0.01 if conv.in_channels == 3 else conv.groups / conv.in_channels


@dataclass(frozen=True)
class Backbone:
    """Backbone of the networks with one unit.

    Attributes:
        create: Creates it for a variant: images float (n, 3, H, W) to features float (n, variant.channels[0],
            H / variant.feature_stride, W / variant.feature_stride), both rounded up.
        initial_std: Standard deviation of a convolution's initial weights, which are normally distributed.
    """

    create: Callable[[Variant], nn.Module]
    initial_std: Callable[[nn.Conv2d], float] = _small


BACKBONES: dict[Unit, Backbone] = {
    LITE: Backbone(LiteHRNet),
    NAIVE: Backbone(LiteHRNet),
    DYNAMIC: Backbone(LiteHRNet),
    BASIC: Backbone(SmallHRNet),
    INVERTED: Backbone(lambda _: MobileNetV2(), _by_outputs),
    SEARCHED: Backbone(lambda _: MobileNetV3(), _by_outputs),
    SHUFFLED: Backbone(lambda _: ShuffleNetV2(), _by_inputs),
}
