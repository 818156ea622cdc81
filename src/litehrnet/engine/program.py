"""The program that the engine runs: a flat list of steps over planes. No network, no tensors, no graph.

A *plane* is one channel of one image: height x width float32, rows without gaps. All planes are stored in the *arena*,
the one block of memory that a thread works in. A step names the planes that it reads and writes one by one. Splits,
concatenations and shuffles of channels are therefore resolved at compile time and cost nothing at run time.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

FLOATS_PER_LINE = 16
"""Floats in a cache line; every plane begins at a cache line."""


class Kind(IntEnum):
    """Operation of a step.

    ``csrc/engine/check_step.cpp`` says what each kind reads, writes and holds; ``reference.py`` computes each in NumPy.
    """

    STEM = 0
    """Image to 32 planes at 1/4: normalization, 3x3 convolution and the shuffle unit of stride 2."""
    POINTWISE = 1
    """1x1 convolution, or a sum of several: out = activation(weight in + bias + addend); the weight may be a plane."""
    DEPTHWISE = 2
    """Convolution of every plane by itself, of ``in`` times the enlarged channel weight: 3x3, 5x5, 7x7 or 9x9, stride
    1 or 2. The weight may be a plane."""
    POOL = 3
    """Mean over the block of pixels that each pixel of ``out`` covers."""
    SPATIAL_WEIGHTING = 4
    """out = in times sigmoid(weight relu(weight means + bias) + bias), one number per plane; then scaled and shifted.
    The activation may be HARD_SIGMOID in place of the sigmoid."""
    ENLARGE = 5
    """out = addend + in, with every pixel of ``in`` repeated to twice the sides."""
    FUSE_FIRST = 6
    """S = 2 in + lower enlarged; out = relu(S); one depthwise convolution of S with stride 2 per lower branch, of
    relu(S) if that is the activation."""
    ENLARGE_BILINEAR = 7
    """out = addend + in, enlarged bilinearly to twice the sides, corners aligned."""
    MEANS = 8
    """Means of ``in`` times the enlarged channel weight, one number per plane."""
    MIX_KERNELS = 9
    """Sum of kernels, each times its number of sigmoid(weight relu(weight means + bias) + bias)."""
    CONTEXT = 10
    """Sums weighted by the softmax of logits over all pixels: one per plane, or one per run of pixels."""
    IMAGE = 11
    """Image to three normalized planes, in the order of the image's channels."""
    CONVOLUTION = 12
    """3x3 convolution over all planes: out = activation(weight in + bias + addend); stride 1 or 2."""
    TRANSPOSED = 13
    """Transposed 4x4 convolution with stride 2, which doubles both sides. The weight holds four convolutions of 2x2:
    of even rows and even columns of ``out``, even and odd, odd and even, odd and odd."""
    MAX_POOL = 14
    """Maximum of 3x3 neighbors, with stride 2."""
    ADD = 15
    """out = activation(a + b)."""


class Activation(IntEnum):
    """The function at the end of a convolution or an ADD step, or of what a FUSE_FIRST step convolves.

    ``reference.py`` computes each.
    """

    NONE = 0
    RELU = 1
    SIGMOID = 2
    RELU6 = 3
    HARD_SWISH = 4
    HARD_SIGMOID = 5


@dataclass(frozen=True)
class Planes:
    """Channels of one size, in order, and the place of each.

    Attributes:
        height: Rows of each plane.
        width: Columns of each plane.
        places: Start of every plane, in floats from the beginning of the arena. Until the arena is planned: the number
            of the plane.
    """

    height: int
    width: int
    places: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.places)

    @property
    def pixels(self) -> int:
        """Pixels of one plane."""
        return self.height * self.width

    def part(self, start: int, stop: int) -> "Planes":
        """The channels from ``start`` to ``stop``."""
        return Planes(self.height, self.width, self.places[start:stop])

    def halves(self) -> tuple["Planes", "Planes"]:
        """The first and the second half of the channels."""
        half = len(self) // 2
        return self.part(0, half), self.part(half, len(self))


ABSENT = Planes(0, 0, ())
"""Placeholder for an absent operand."""


def join(parts: Iterable[Planes]) -> Planes:
    """Concatenate the channels of several planes of one size."""
    several = tuple(parts)
    return Planes(several[0].height, several[0].width, tuple(place for planes in several for place in planes.places))


def shuffle(*parts: Planes) -> Planes:
    """Channel shuffle: the first channel of every part, then the second of every part, and so on."""
    in_turn = zip(*(planes.places for planes in parts), strict=True)
    return Planes(parts[0].height, parts[0].width, tuple(place for several in in_turn for place in several))


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
        kind: Operation.
        name: Its layer, in the parameter names of the reference implementation.
        reads: Inputs; ``csrc/engine/check_step.cpp`` lists them by kind.
        writes: Outputs; the same planes as an input if the step works in place.
        constants: Weights and biases.
        activation: Function at the end of a convolution or an ADD step.
        stride: Stride of a DEPTHWISE or CONVOLUTION step, 1 or 2.
    """

    kind: Kind
    name: str
    reads: tuple[Planes, ...]
    writes: tuple[Planes, ...]
    constants: tuple[NDArray[np.floating], ...] = ()
    activation: Activation = Activation.NONE
    stride: int = 1

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the convolutions and dense layers, for one image."""
        out = self.writes[0]
        match self.kind:
            case Kind.STEM:
                _, conv, _, depthwise_a, _, pointwise_a, _, expand, _, depthwise_b, _, linear, _ = self.constants
                halved = -(-self.reads[0].height // 2) * -(-self.reads[0].width // 2)
                smaller = depthwise_a.size + pointwise_a.size + depthwise_b.size + linear.size
                return halved * (conv.size + expand.size) + out.pixels * smaller
            case Kind.FUSE_FIRST:
                pairs = zip(self.constants[::2], self.writes[1:], strict=True)
                return sum(weight.size * halved.pixels for weight, halved in pairs)
            case Kind.SPATIAL_WEIGHTING | Kind.MIX_KERNELS:
                return sum(weight.size for weight in self.constants[:4:2])
            case Kind.POINTWISE | Kind.DEPTHWISE if len(self.reads) > 2:
                return self.reads[2].pixels * out.pixels
            case Kind.IMAGE:
                return 0
            case Kind.TRANSPOSED:
                return self.constants[0].size * self.reads[0].pixels
            case _:
                return sum(weight.size * out.pixels for weight in self.constants[::2])

    @property
    def bytes_touched(self) -> int:
        """Least number of bytes of planes and constants that the step reads and writes, as float32."""
        planes = sum(len(planes) * planes.pixels for planes in (*self.reads, *self.writes))
        return 4 * (planes + sum(constant.size for constant in self.constants))


@dataclass(frozen=True)
class Program:
    """A network, compiled for images of one size.

    Attributes:
        input_size_wh: (width, height) of the image in pixels: uint8, rows of 3-channel pixels.
        bgr: Whether the image's channels are in OpenCV's order instead of RGB.
        arena_floats: Size of the arena in floats.
        steps: Steps in the order in which they run.
        output: Heatmaps, class scores or detection maps, at 1/4 of the image.
    """

    input_size_wh: tuple[int, int]
    bgr: bool
    arena_floats: int
    steps: tuple[Step, ...]
    output: Planes

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one image."""
        return sum(step.macs for step in self.steps)

    @property
    def constant_bytes(self) -> int:
        """Bytes of all weights and biases, as float32."""
        return 4 * sum(constant.size for step in self.steps for constant in step.constants)
