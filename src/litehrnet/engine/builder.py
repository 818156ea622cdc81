"""Collects steps. Planes get numbers here; their places are planned when all steps are known."""

from dataclasses import dataclass, field

from litehrnet.engine.parameters import Floats
from litehrnet.engine.program import ABSENT, Activation, Kind, Planes, Step


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

    def enlarge(self, name: str, inputs: Planes, addend: Planes = ABSENT) -> Planes:
        """Append a ``Kind.ENLARGE`` step."""
        out = self.new(len(inputs), 2 * inputs.height, 2 * inputs.width)
        self.steps.append(Step(Kind.ENLARGE, name, (addend, inputs), (out,)))
        return out
