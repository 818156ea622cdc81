"""Compile the exchange between branches: the sums of ``models.blocks.Fuse``, with fewer and longer products.

U_ij raises branch j to the resolution of branch i, D_ij lowers it (docs/spec/architecture.md, section 7).
"""

import numpy as np

from litehrnet.engine.builder import Builder
from litehrnet.engine.parameters import Parameters
from litehrnet.engine.program import ABSENT, Activation, Kind, Planes, Step, join


def fuse(
    b: Builder, p: Parameters, name: str, branches: list[Planes], rectified: Activation = Activation.NONE
) -> list[Planes]:
    """Compile the exchange and its ReLU; returns all branches after it. ``rectified``: see ``_first_branch``."""
    first, lowered = _first_branch(b, p, name, branches, rectified)
    return [first, *(_lower_branch(b, p, name, branches, i, lowered[i - 1]) for i in range(1, len(branches)))]


def _first_branch(
    b: Builder, p: Parameters, name: str, branches: list[Planes], rectified: Activation
) -> tuple[Planes, list[Planes]]:
    """relu(S), and the first depthwise convolution of D_i0 on S, for i = 1, 2, ...; S itself is not stored.

    In Dite-HRNet, the convolutions are of relu(S): ``rectified`` is RELU.
    """
    x = branches[0]
    lower = raised(b, p, name, branches, 0)
    pairs = [p.folded(f"{name}.{i}.0.0.0", f"{name}.{i}.0.0.1", (len(x), 1, 3, 3)) for i in range(1, len(branches))]
    out = b.new_like(x)
    lowered = [b.new_strided(len(x), x, 2) for _ in pairs]
    constants = tuple(array for pair in pairs for array in pair)
    b.steps.append(Step(Kind.FUSE_FIRST, f"{name}.0", (x, lower), (out, *lowered), constants, rectified))
    return out, lowered


def raised(b: Builder, p: Parameters, name: str, branches: list[Planes], i: int) -> Planes:
    """The sum of U_ij(x_j) over j > i, at the resolution of branch i + 1: one enlargement remains.

    The sum grows from the lowest resolution upward: each product adds the enlarged sum of those below. So every
    enlargement is by two, of planes as small as possible.
    """
    channels = len(branches[i])
    total = ABSENT
    for j in range(len(branches) - 1, i, -1):
        step = f"{name}.{i}.{j}"
        weight_bias = p.folded(f"{step}.0", f"{step}.1", (channels, len(branches[j]), 1, 1))
        if total is ABSENT:
            total = b.pointwise(step, branches[j], weight_bias)
        else:
            enlarged = b.enlarge(step, total)
            total = b.pointwise(step, branches[j], weight_bias, addend=enlarged, out=enlarged)
    return total


def _lower_branch(
    b: Builder, p: Parameters, name: str, branches: list[Planes], i: int, lowered_first: Planes
) -> Planes:
    """relu(2 D_i0(S) + the sum of D_ij(x_j) over 0 < j < i + x_i + the sum of U_ij(x_j) over j > i), i > 0.

    The last steps of all D_ij are 1x1 convolutions whose results are summed. They become one product over all inputs.
    """
    inputs, weights, bias = [], [], np.zeros(len(branches[i]))
    for j in range(i):
        last = f"{name}.{i}.{j}.{i - j - 1}"
        lowered = _lowered(b, p, f"{name}.{i}.{j}", branches[j], i - j, lowered_first if j == 0 else ABSENT)
        weight, shift = p.folded(f"{last}.2", f"{last}.3", (len(branches[i]), len(lowered), 1, 1))
        times = 2 if j == 0 else 1
        inputs.append(lowered)
        weights.append(times * weight)
        bias += times * shift
    addend = branches[i]
    if i + 1 < len(branches):
        addend = b.enlarge(f"{name}.{i}", raised(b, p, name, branches, i), addend)
    out = None if addend is branches[i] else addend
    product = (np.hstack(weights), bias)
    return b.pointwise(f"{name}.{i}", join(inputs), product, Activation.RELU, addend=addend, out=out)


def _lowered(b: Builder, p: Parameters, name: str, x: Planes, steps: int, first: Planes) -> Planes:
    """Compile the chain of D_ij without its last 1x1 convolution.

    Args:
        b: Collects the steps.
        p: Arrays of the network.
        name: Name of the chain.
        x: The branch.
        steps: Number of steps in the chain.
        first: Result of the first depthwise convolution, if it was computed already.
    """
    channels = len(x)
    for k in range(steps):
        step = f"{name}.{k}"
        if k == 0 and first is not ABSENT:
            x = first
        else:
            weight_bias = p.folded(f"{step}.0", f"{step}.1", (channels, 1, 3, 3))
            x = b.depthwise(step, x, weight_bias, stride=2)
        if k < steps - 1:
            weight_bias = p.folded(f"{step}.2", f"{step}.3", (channels, channels, 1, 1))
            x = b.pointwise(step, x, weight_bias, Activation.RELU)
    return x
