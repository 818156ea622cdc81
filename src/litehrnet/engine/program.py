"""What the engine runs: a flat list of steps over planes. No network, no tensors, no graph.

A *plane* is one channel of one image: height x width float32, rows one after another without gaps, somewhere in the
*arena*, the one block of memory that a thread works in. A step names the planes it reads and writes one by one, so that
splitting, concatenating and shuffling channels cost nothing: the compiler only writes other lists.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

FLOATS_PER_LINE = 16
"""Floats in a cache line; planes begin at one."""


class Kind(IntEnum):
    """What a step does. ``signatures.py`` says what each reads, writes and holds; an operand in brackets may be absent.

    ========================  ====================  ========================  ================================
    kind                      reads                 writes                    constants
    ========================  ====================  ========================  ================================
    STEM                      image (no places)     out                       see ``compiler.compile_stem``
    POINTWISE                 in, [addend]          out                       weight, bias
    DEPTHWISE                 in, [channel weight]  out, [means]              weight, bias
    POOL                      in                    out
    SPATIAL_WEIGHTING         in, means             out                       weight, bias, weight, bias
    ENLARGE                   [addend], in          out
    FUSE_FIRST                in, lower             out, one per lower        weight, bias per lower branch
    ENLARGE_BILINEAR          addend, in            out
    ========================  ====================  ========================  ================================
    """

    STEM = 0
    """Image to 32 planes at 1/4: normalization, 3x3 convolution and the shuffle unit of stride 2."""
    POINTWISE = 1
    """1x1 convolution, or a sum of several: out = activation(weight in + bias + addend)."""
    DEPTHWISE = 2
    """3x3 convolution of every plane by itself, stride 1 or 2, of in times the enlarged channel weight."""
    POOL = 3
    """Mean over the blocks of pixels that one pixel of out stands for."""
    SPATIAL_WEIGHTING = 4
    """out = in times sigmoid(weight relu(weight means + bias) + bias): one number per plane."""
    ENLARGE = 5
    """out = addend + in, every pixel of in repeated to twice the sides."""
    FUSE_FIRST = 6
    """S = 2 in + lower enlarged; out = relu(S); S through a depthwise convolution of stride 2 per lower branch."""
    ENLARGE_BILINEAR = 7
    """out = addend + in, enlarged bilinearly to twice the sides with the corners aligned."""


class Activation(IntEnum):
    """What is applied to the results of a POINTWISE step."""

    NONE = 0
    RELU = 1
    SIGMOID = 2


@dataclass(frozen=True)
class Planes:
    """Channels of one size, in order, and where each one lies.

    Attributes:
        height: Rows of each plane.
        width: Columns of each plane.
        places: One per channel: where the plane begins, in floats from the beginning of the arena. While the compiler
            is at work, the plane's number instead.
    """

    height: int
    width: int
    places: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.places)

    @property
    def pixels(self) -> int:
        """Of one plane."""
        return self.height * self.width

    def part(self, start: int, stop: int) -> "Planes":
        """The channels from ``start`` to ``stop``."""
        return Planes(self.height, self.width, self.places[start:stop])

    def halves(self) -> tuple["Planes", "Planes"]:
        """The first and the second half of the channels."""
        half = len(self) // 2
        return self.part(0, half), self.part(half, len(self))


ABSENT = Planes(0, 0, ())
"""In the place of an operand that a step does without."""


def join(parts: Iterable[Planes]) -> Planes:
    """The channels of several, all of one size, one after another."""
    several = tuple(parts)
    return Planes(several[0].height, several[0].width, tuple(place for planes in several for place in planes.places))


def shuffle(first: Planes, second: Planes) -> Planes:
    """The channels of two in turn: the channel shuffle, by renaming."""
    pairs = zip(first.places, second.places, strict=True)
    return Planes(first.height, first.width, tuple(place for pair in pairs for place in pair))


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
        kind: What it does.
        name: Where in the network it comes from, in the words of the published parameter names.
        reads: Its inputs; see ``Kind``.
        writes: Its outputs; the same planes as an input where it works in place.
        constants: Weights and biases.
        activation: Of POINTWISE.
        stride: Of DEPTHWISE.
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
        """Multiply-accumulates of its convolutions and dense layers, for one image."""
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
            case Kind.SPATIAL_WEIGHTING:
                return sum(weight.size for weight in self.constants[::2])
            case _:
                return sum(weight.size * out.pixels for weight in self.constants[::2])

    @property
    def bytes_touched(self) -> int:
        """Bytes of planes and constants that it reads and writes at least, as float32."""
        planes = sum(len(planes) * planes.pixels for planes in (*self.reads, *self.writes))
        return 4 * (planes + sum(constant.size for constant in self.constants))


@dataclass(frozen=True)
class Program:
    """A network for images of one size, compiled.

    Attributes:
        input_size_wh: (width, height) of the image in pixels: uint8, rows of 3-channel pixels.
        bgr: Whether the image's channels are in OpenCV's order instead of RGB.
        arena_floats: Size of the arena.
        steps: In the order in which they run.
        output: The heatmaps, or the scores of classes: at 1/4 of the image.
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
