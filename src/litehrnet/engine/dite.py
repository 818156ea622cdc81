"""Dite-HRNet as steps: stem and units (docs/spec/architecture.md, section 20)."""

from litehrnet.engine.builder import Builder, Layer
from litehrnet.engine.parameters import Floats, Parameters
from litehrnet.engine.program import ABSENT, Activation, Kind, Planes, Step, join, shuffle
from litehrnet.variants import DENSE_REDUCTION, SPLITS, STEM_CHANNELS, UNITS_PER_MODULE

_KERNELS = 4
_STEM_REDUCTION = 4


def dynamic_units(b: Builder, p: Parameters, name: str, branches: list[Planes]) -> list[Planes]:
    """Compile the units of one module; the processed halves are overwritten."""
    for unit in range(UNITS_PER_MODULE):
        branches = _unit(b, p, f"{name}.{unit}", branches)
    return branches


def _unit(b: Builder, p: Parameters, name: str, branches: list[Planes]) -> list[Planes]:
    halves = [branch.halves() for branch in branches]
    weights = _dense_context(b, p, f"{name}.dcm", [q for _, q in halves])
    results = []
    for index, ((kept, q), weight) in enumerate(zip(halves, weights, strict=True)):
        groups, kernels, reduction = SPLITS[index]
        q = _split_convolution(b, p, f"{name}.conv.{index}.conv", q, weight, groups, kernels)
        _global_context(b, p, f"{name}.gcm.{index}", q, reduction)
        results.append(shuffle(kept, q))
    return results


def _dense_context(b: Builder, p: Parameters, name: str, branches: list[Planes]) -> list[Planes]:
    """Weights of every branch: one per channel and pixel of the lowest resolution."""
    lowest = branches[-1]
    masks = [p.biased(f"{name}.conv_mask.{i}", 1, len(branch)) for i, branch in enumerate(branches)]
    pooled = [
        b.context(f"{name}.conv_mask.{i}", branch, mask, b.new(len(branch), lowest.height, lowest.width))
        for i, (branch, mask) in enumerate(zip(branches[:-1], masks, strict=False))  # nothing reads the last mask
    ]
    together = join([*pooled, lowest])
    attention = f"{name}.channel_attention"
    layers = _attention(p, attention, len(together), DENSE_REDUCTION)
    return b.branch_weights((f"{attention}.0", f"{attention}.3"), together, layers, branches)


def _attention(p: Parameters, name: str, channels: int, reduction: int) -> tuple[Layer, Layer]:
    hidden = channels // reduction
    return p.folded(f"{name}.0", f"{name}.1", (hidden, channels, 1, 1)), p.biased(f"{name}.3", channels, hidden)


def _split_convolution(
    b: Builder, p: Parameters, name: str, q: Planes, weight: Planes, groups: int, kernels: int
) -> Planes:
    """Weighted depthwise convolutions of groups of channels, in place."""
    width = len(q) // groups
    parts = []
    for group in range(groups):
        layer, size = f"{name}.{group}", 3 + 2 * group
        part, part_weight = (planes.part(group * width, (group + 1) * width) for planes in (q, weight))
        reads: tuple[Planes, ...] = (part, part_weight)
        constants: tuple[Floats, ...]
        if kernels > 1:
            kernel, bias = _mixed_kernel(b, p, layer, part, (kernels, width, 1, size, size), part_weight)
            reads, constants = (*reads, kernel), (bias,)
        else:
            constants = p.block(layer, (width, 1, size, size))
        b.steps.append(Step(Kind.DEPTHWISE, layer, reads, (part, ABSENT), constants))
        parts.append(part)
    return shuffle(*parts)


def _mixed_kernel(
    b: Builder, p: Parameters, name: str, x: Planes, shape: tuple[int, ...], weight: Planes = ABSENT
) -> tuple[Planes, Floats]:
    """The kernel of a dynamic convolution of ``x`` times its channel weights, and the bias of its normalization."""
    kernels, outputs = shape[:2]
    hidden, attention = len(x) // 4, f"{name}.conv.attention"
    first = p.folded(f"{attention}.conv1", f"{attention}.bn", (hidden, len(x), 1, 1))
    second = p.biased(f"{attention}.conv2", kernels, hidden)
    factor, bias = p.norm(f"{name}.bn", outputs)
    values = p.take(f"{name}.conv.aggregation.weight", shape).reshape(kernels, outputs, -1) * factor[:, None]
    return b.mixed_kernel(attention, x, weight, (*first, *second, values.reshape(kernels, -1))), bias


def _global_context(b: Builder, p: Parameters, name: str, x: Planes, reduction: int) -> None:
    """Multiply every plane by one number, from its weighted mean, and normalize it; in place."""
    channels = len(x)
    means = b.context(f"{name}.conv_mask", x, p.biased(f"{name}.conv_mask", 1, channels), b.new(1, 1, channels))
    first, second = _attention(p, f"{name}.channel_attention", channels, reduction)
    constants = (*first, *second, *p.norm(f"{name}.bn", channels))
    b.steps.append(Step(Kind.SPATIAL_WEIGHTING, name, (x, means), (x,), constants))


def dynamic_stem(b: Builder, p: Parameters, image: Planes) -> Planes:
    """Compile the stem, for the normalized image."""
    name, half, quarter = "backbone.stem", STEM_CHANNELS // 2, STEM_CHANNELS // 8
    conv1 = p.block(f"{name}.conv1", (STEM_CHANNELS, 3, 3, 3))
    first, second = b.convolution(f"{name}.conv1", image, conv1, stride=2).halves()
    first = _depthwise(b, p, f"{name}.branch1.0", first, stride=2)
    _global_context(b, p, f"{name}.branch1.1", first, _STEM_REDUCTION)
    first = _pointwise(b, p, f"{name}.branch1.2", first, half, Activation.RELU)
    second = _depthwise(b, p, f"{name}.branch2.0", second)
    _global_context(b, p, f"{name}.branch2.1", second, _STEM_REDUCTION)
    second = _pointwise(b, p, f"{name}.branch2.2", second, quarter, Activation.RELU)
    second = _pointwise(b, p, f"{name}.branch2.3", second, half)
    second = _depthwise(b, p, f"{name}.branch2.4", second, Activation.RELU, stride=2)
    return shuffle(first, second)


def _depthwise(
    b: Builder, p: Parameters, name: str, x: Planes, activation: Activation = Activation.NONE, stride: int = 1
) -> Planes:
    kernel, bias = _mixed_kernel(b, p, name, x, (_KERNELS, len(x), 1, 3, 3))
    out = x if stride == 1 else b.new_strided(len(x), x, stride)
    b.steps.append(Step(Kind.DEPTHWISE, name, (x, ABSENT, kernel), (out, ABSENT), (bias,), activation, stride))
    return out


def _pointwise(
    b: Builder, p: Parameters, name: str, x: Planes, channels: int, activation: Activation = Activation.NONE
) -> Planes:
    kernel, bias = _mixed_kernel(b, p, name, x, (_KERNELS, channels, len(x), 1, 1))
    out = b.new(channels, x.height, x.width)
    b.steps.append(Step(Kind.POINTWISE, name, (x, ABSENT, kernel), (out,), (bias,), activation))
    return out
