"""Collects steps. Planes get numbers here; their places are planned when all steps are known."""

from dataclasses import dataclass, field

from litehrnet.engine.parameters import Floats
from litehrnet.engine.program import ABSENT, Activation, Kind, Planes, Step

Layer = tuple[Floats, Floats]
"""Weight and bias."""


@dataclass
class Builder:
    """Collects steps.

    Attributes:
        steps: Steps so far.
        planes: Number of planes so far.
    """

    steps: list[Step] = field(default_factory=list)
    planes: int = 0

    def new(self, channels: int, height: int, width: int) -> Planes:
        """Create new planes."""
        first = self.planes
        self.planes += channels
        return Planes(height, width, tuple(range(first, self.planes)))

    def new_like(self, planes: Planes) -> Planes:
        """Create as many new planes of the same size."""
        return self.new(len(planes), planes.height, planes.width)

    def pointwise(
        self,
        name: str,
        inputs: Planes,
        weight_bias: tuple[Floats, Floats],
        activation: Activation = Activation.NONE,
        *,
        addend: Planes = ABSENT,
        out: Planes | None = None,
    ) -> Planes:
        """Append a ``Kind.POINTWISE`` step; ``out`` may be the addend, to add in place."""
        out = self.new(len(weight_bias[1]), inputs.height, inputs.width) if out is None else out
        self.steps.append(Step(Kind.POINTWISE, name, (inputs, addend), (out,), weight_bias, activation))
        return out

    def depthwise(self, name: str, inputs: Planes, weight_bias: tuple[Floats, Floats], stride: int = 1) -> Planes:
        """Append a ``Kind.DEPTHWISE`` step without channel weights and means."""
        out = self.new(len(inputs), -(-inputs.height // stride), -(-inputs.width // stride))
        self.steps.append(Step(Kind.DEPTHWISE, name, (inputs, ABSENT), (out, ABSENT), weight_bias, stride=stride))
        return out

    def weighted_depthwise(
        self, name: str, inputs: Planes, channel_weights: Planes, weight_bias: tuple[Floats, Floats]
    ) -> Planes:
        """Append a ``Kind.DEPTHWISE`` step in place, with channel weights; return the means of its results."""
        means = self.new(1, 1, len(inputs))
        self.steps.append(Step(Kind.DEPTHWISE, name, (inputs, channel_weights), (inputs, means), weight_bias))
        return means

    def pool(self, name: str, inputs: Planes, height: int, width: int) -> Planes:
        """Append a ``Kind.POOL`` step."""
        out = self.new(len(inputs), height, width)
        self.steps.append(Step(Kind.POOL, name, (inputs,), (out,)))
        return out

    def branch_weights(
        self, names: tuple[str, str], pooled: Planes, layers: tuple[Layer, Layer], branches: list[Planes]
    ) -> list[Planes]:
        """Append two layers, with a ReLU and a sigmoid, on the pooled branches; return the weights of every branch."""
        hidden = self.pointwise(names[0], pooled, layers[0], Activation.RELU)
        weights = self.pointwise(names[1], hidden, layers[1], Activation.SIGMOID)
        parts, start = [], 0
        for branch in branches:
            parts.append(weights.part(start, start + len(branch)))
            start += len(branch)
        return parts

    def context(self, name: str, inputs: Planes, mask: Layer, out: Planes) -> Planes:
        """Append the sums of ``inputs``, weighted by the softmax of their 1x1 convolution ``mask``, and return them."""
        logits = self.pointwise(name, inputs, mask)
        self.steps.append(Step(Kind.CONTEXT, name, (inputs, logits), (out,)))
        return out

    def mixed_kernel(self, name: str, inputs: Planes, channel_weights: Planes, constants: tuple[Floats, ...]) -> Planes:
        """Append ``Kind.MEANS`` and ``Kind.MIX_KERNELS`` steps; return the plane of the kernel."""
        means = self.new(1, 1, len(inputs))
        self.steps.append(Step(Kind.MEANS, name, (inputs, channel_weights), (means,)))
        kernel = self.new(1, 1, constants[-1].shape[1])
        self.steps.append(Step(Kind.MIX_KERNELS, name, (means,), (kernel,), constants))
        return kernel

    def enlarge(self, name: str, inputs: Planes, addend: Planes = ABSENT) -> Planes:
        """Append a ``Kind.ENLARGE`` step."""
        out = self.new(len(inputs), 2 * inputs.height, 2 * inputs.width)
        self.steps.append(Step(Kind.ENLARGE, name, (addend, inputs), (out,)))
        return out
