"""Units as steps: conditional channel weighting and the shuffle unit.

Source: docs/spec/architecture.md, sections 5 and 6.
"""

from collections.abc import Callable

from litehrnet.engine.builder import Builder
from litehrnet.engine.dite import dynamic_units
from litehrnet.engine.parameters import Parameters
from litehrnet.engine.program import Activation, Kind, Planes, Step, join, shuffle
from litehrnet.variants import (
    CROSS_RESOLUTION_REDUCTION,
    DYNAMIC,
    LITE,
    NAIVE,
    SPATIAL_REDUCTION,
    UNITS_PER_MODULE,
    Unit,
)


def conditional_channel_weighting(b: Builder, p: Parameters, name: str, branches: list[Planes]) -> list[Planes]:
    """Compile one unit of Lite-HRNet on all branches; the processed halves are overwritten."""
    halves = [branch.halves() for branch in branches]
    weights = _cross_resolution_weights(b, p, f"{name}.cross_resolution_weighting", [q for _, q in halves])
    for index, ((_, q), weight) in enumerate(zip(halves, weights, strict=True)):
        depthwise = f"{name}.depthwise_convs.{index}"
        means = b.weighted_depthwise(depthwise, q, weight, p.block(depthwise, (len(q), 1, 3, 3)))
        spatial_weighting(b, p, f"{name}.spatial_weighting.{index}", q, means)
    return [shuffle(kept, q) for kept, q in halves]


def _cross_resolution_weights(b: Builder, p: Parameters, name: str, branches: list[Planes]) -> list[Planes]:
    """Weights of every branch: one per channel and pixel of the lowest resolution."""
    lowest = branches[-1]
    pooled = [b.pool(f"{name}.pool", branch, lowest.height, lowest.width) for branch in branches[:-1]]
    together = join([*pooled, lowest])
    total, hidden = len(together), len(together) // CROSS_RESOLUTION_REDUCTION
    names = (f"{name}.conv1", f"{name}.conv2")
    first, second = p.block(names[0], (hidden, total, 1, 1)), p.block(names[1], (total, hidden, 1, 1))
    return b.branch_weights(names, together, (first, second), branches)


def spatial_weighting(
    b: Builder,
    p: Parameters,
    name: str,
    planes: Planes,
    means: Planes,
    reduction: int = SPATIAL_REDUCTION,
    activation: Activation = Activation.NONE,
) -> None:
    """Multiply every plane by one number, in place; without ``activation``, a sigmoid ends the dense layers."""
    channels = len(planes)
    hidden = channels // reduction
    first = p.biased(f"{name}.conv1.conv", hidden, channels)
    second = p.biased(f"{name}.conv2.conv", channels, hidden)
    b.steps.append(Step(Kind.SPATIAL_WEIGHTING, name, (planes, means), (planes,), (*first, *second), activation))


def shuffle_unit(b: Builder, p: Parameters, name: str, branch: Planes) -> Planes:
    """Compile one unit of Naive Lite-HRNet on one branch; the processed half is overwritten."""
    kept, q = branch.halves()
    half = len(q)
    names = [f"{name}.branch2.{layer}" for layer in range(3)]
    x = b.pointwise(names[0], q, p.block(names[0], (half, half, 1, 1)), Activation.RELU)
    x = b.depthwise(names[1], x, p.block(names[1], (half, 1, 3, 3)))
    b.pointwise(names[2], x, p.block(names[2], (half, half, 1, 1)), Activation.RELU, out=q)
    return shuffle(kept, q)


def _lite_units(b: Builder, p: Parameters, name: str, branches: list[Planes]) -> list[Planes]:
    for unit in range(UNITS_PER_MODULE):
        branches = conditional_channel_weighting(b, p, f"{name}.{unit}", branches)
    return branches


def _naive_units(b: Builder, p: Parameters, name: str, branches: list[Planes]) -> list[Planes]:
    for unit in range(UNITS_PER_MODULE):
        branches = [shuffle_unit(b, p, f"{name}.{i}.{unit}", x) for i, x in enumerate(branches)]
    return branches


STEPS: dict[Unit, Callable[[Builder, Parameters, str, list[Planes]], list[Planes]]] = {
    LITE: _lite_units,
    NAIVE: _naive_units,
    DYNAMIC: dynamic_units,
}
"""Writes the steps of the units of one module, for the name of its layers and its branches."""
