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

    def new_strided(self, channels: int, inputs: Planes, stride: int) -> Planes:
        """Create new planes of the size that ``inputs`` have after a convolution with this stride."""
        return self.new(channels, -(-inputs.height // stride), -(-inputs.width // stride))

    def pointwise(
        self,
        name: str,
        inputs: Planes,
        weight_bias: Layer,
        activation: Activation = Activation.NONE,
        *,
        addend: Planes = ABSENT,
        out: Planes | None = None,
    ) -> Planes:
        """Append a ``Kind.POINTWISE`` step; ``out`` may be the addend, to add in place."""
        out = self.new(len(weight_bias[1]), inputs.height, inputs.width) if out is None else out
        self.steps.append(Step(Kind.POINTWISE, name, (inputs, addend), (out,), weight_bias, activation))
        return out

    def depthwise(
        self,
        name: str,
        inputs: Planes,
        weight_bias: Layer,
        stride: int = 1,
        activation: Activation = Activation.NONE,
        *,
        means: Planes = ABSENT,
    ) -> Planes:
        """Append a ``Kind.DEPTHWISE`` step without channel weights."""
        out = self.new_strided(len(inputs), inputs, stride)
        step = Step(Kind.DEPTHWISE, name, (inputs, ABSENT), (out, means), weight_bias, activation, stride)
        self.steps.append(step)
        return out

    def weighted_depthwise(self, name: str, inputs: Planes, channel_weights: Planes, weight_bias: Layer) -> Planes:
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

    def image(self, width: int, height: int, normalization: Floats, *, bgr: bool) -> Planes:
        """Append a ``Kind.IMAGE`` step; the planes that it returns are R, G and B."""
        out = self.new(3, height, width)
        in_order = Planes(height, width, out.places[::-1]) if bgr else out
        constants = (normalization[:, ::-1] if bgr else normalization,)
        self.steps.append(Step(Kind.IMAGE, "image", (Planes(height, width, ()),), (in_order,), constants))
        return out

    def convolution(
        self,
        name: str,
        inputs: Planes,
        weight_bias: Layer,
        activation: Activation = Activation.RELU,
        stride: int = 1,
        *,
        addend: Planes = ABSENT,
    ) -> Planes:
        """Append a ``Kind.CONVOLUTION`` step."""
        out = self.new_strided(len(weight_bias[1]), inputs, stride)
        self.steps.append(Step(Kind.CONVOLUTION, name, (inputs, addend), (out,), weight_bias, activation, stride))
        return out

    def transposed(self, name: str, inputs: Planes, weight_bias: Layer) -> Planes:
        """Append a ``Kind.TRANSPOSED`` step that ends with a ReLU."""
        out = self.new(len(weight_bias[1]), 2 * inputs.height, 2 * inputs.width)
        self.steps.append(Step(Kind.TRANSPOSED, name, (inputs,), (out,), weight_bias, Activation.RELU))
        return out

    def max_pool(self, name: str, inputs: Planes) -> Planes:
        """Append a ``Kind.MAX_POOL`` step."""
        out = self.new_strided(len(inputs), inputs, 2)
        self.steps.append(Step(Kind.MAX_POOL, name, (inputs,), (out,)))
        return out

    def add(self, name: str, a: Planes, b: Planes, activation: Activation = Activation.NONE) -> None:
        """Append a ``Kind.ADD`` step that replaces ``a``."""
        self.steps.append(Step(Kind.ADD, name, (a, b), (a,), activation=activation))
