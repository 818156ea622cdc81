"""Whether a program is one: what every kind of step reads, writes and holds, and that all of it lies in the arena.

csrc/check_step.cpp asks the same of what it is given.
"""

from litehrnet.engine.planning import plane_floats
from litehrnet.engine.program import FLOATS_PER_LINE, Activation, Kind, Planes, Program, Step
from litehrnet.variants import STEM_CHANNELS, accepts_side, heatmap_size

LARGEST_ARENA = 2**30
"""In floats: 4 GiB."""

MOST_LOWER_BRANCHES = 3

_OPERANDS = {
    Kind.STEM: (1, 1),
    Kind.POINTWISE: (2, 1),
    Kind.DEPTHWISE: (2, 2),
    Kind.POOL: (1, 1),
    Kind.SPATIAL_WEIGHTING: (2, 1),
    Kind.ENLARGE: (2, 1),
    Kind.ENLARGE_BILINEAR: (2, 1),
}
"""How many operands a step reads and writes; FUSE_FIRST writes as many as there are branches."""


class ProgramError(ValueError):
    """What is wrong with a program, as the end of a sentence."""


def check_program(program: Program) -> None:
    """Refuse a program that would read or write beyond its arena or its constants, or whose shapes do not fit.

    Raises:
        ProgramError: It is such a one.
    """
    width, height = program.input_size_wh
    if not (accepts_side(width) and accepts_side(height)):
        raise ProgramError(f"takes images of {width}x{height}, which no network of the family does")
    if not FLOATS_PER_LINE <= program.arena_floats <= LARGEST_ARENA:
        raise ProgramError(f"wants an arena of {program.arena_floats} floats")
    for index, step in enumerate(program.steps):
        try:
            for planes in (*step.reads, *step.writes):
                _check_places(planes, program.arena_floats)
            _check_step(step, program.input_size_wh)
        except ProgramError as error:
            raise ProgramError(f"step {index} ({step.kind.name}) {error}") from error
    _check_places(program.output, program.arena_floats)
    _require(len(program.output) > 0, "has no output")
    _require(
        (program.output.width, program.output.height) == heatmap_size(width, height),
        f"gives heatmaps of {program.output.width}x{program.output.height} for images of {width}x{height}",
    )


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise ProgramError(otherwise)


def _check_places(planes: Planes, arena_floats: int) -> None:
    if not planes.places:
        return
    _require(planes.height > 0 and planes.width > 0, "has planes without pixels")
    last = arena_floats - plane_floats(planes.pixels)
    for place in planes.places:
        _require(FLOATS_PER_LINE <= place <= last, f"has a plane at {place}, outside its arena")
        _require(place % FLOATS_PER_LINE == 0, f"has a plane at {place}, which is no cache line's beginning")


def _check_step(step: Step, input_size_wh: tuple[int, int]) -> None:
    lower_branches = len(step.writes) - 1
    counts = (2, 1 + lower_branches) if step.kind is Kind.FUSE_FIRST else _OPERANDS[step.kind]
    found = (len(step.reads), len(step.writes))
    _require(found == counts and lower_branches >= 0, f"has {found[0]} inputs and {found[1]} outputs")
    _require(len(step.writes[0]) > 0, "writes nothing")
    _require(step.activation is Activation.NONE or step.kind is Kind.POINTWISE, "has an activation")
    _require(step.stride == 1 or (step.stride == 2 and step.kind is Kind.DEPTHWISE), f"has stride {step.stride}")
    shapes = tuple(constant.shape for constant in step.constants)
    match step.kind:
        case Kind.STEM:
            expected = _stem_constants(step, input_size_wh)
        case Kind.POINTWISE:
            expected = _pointwise_constants(step)
        case Kind.DEPTHWISE:
            expected = _depthwise_constants(step)
        case Kind.SPATIAL_WEIGHTING:
            expected = _spatial_weighting_constants(step)
        case Kind.FUSE_FIRST:
            expected = _fuse_first_constants(step)
        case _:
            expected = _resizing_constants(step)
    _require(shapes == expected, f"has constants of shapes {shapes} instead of {expected}")


Shapes = tuple[tuple[int, ...], ...]


def _stem_constants(step: Step, input_size_wh: tuple[int, int]) -> Shapes:
    (image,), (out,) = step.reads, step.writes
    _require((image.width, image.height, len(image)) == (*input_size_wh, 0), "reads another image than the program")
    _require((out.width, out.height) == heatmap_size(*input_size_wh), "writes planes of another size than 1/4")
    whole, half = STEM_CHANNELS, STEM_CHANNELS // 2
    _require(len(out) == whole, f"writes {len(out)} planes instead of {whole}")
    weights = ((whole, 27), (half, 9), (half, half), (whole, half), (whole, 9), (half, whole))
    return ((2, 3), *(shape for weight in weights for shape in (weight, weight[:1])))


def _pointwise_constants(step: Step) -> Shapes:
    (inputs, addend), (out,) = step.reads, step.writes
    _require(len(inputs) > 0, "reads nothing")
    _require(_same_size(inputs, out), "reads and writes planes of different sizes")
    _check_addend(addend, out)
    return (len(out), len(inputs)), (len(out),)


def _depthwise_constants(step: Step) -> Shapes:
    (inputs, channel_weight), (out, means) = step.reads, step.writes
    _require(len(inputs) == len(out), f"makes {len(out)} planes from {len(inputs)}")
    _require(out == _strided(inputs, step.stride, out), "writes planes of another size than it should")
    if len(channel_weight):
        _require(step.stride == 1 and len(channel_weight) == len(inputs), "has channel weights for other planes")
        _require(_is_multiple(inputs, channel_weight), "has channel weights of a size that does not fit")
    if len(means):
        _require(step.stride == 1, "has means of another stride than 1")
        _require(len(means) == 1 and (means.height, means.width) == (1, len(out)), "has another number of means")
    return (len(out), 9), (len(out),)


def _spatial_weighting_constants(step: Step) -> Shapes:
    (inputs, means), (out,) = step.reads, step.writes
    channels = len(out)
    _require(len(inputs) == channels and _same_size(inputs, out), "writes other planes than it reads")
    _require(len(means) == 1 and (means.height, means.width) == (1, channels), "has another number of means")
    _require(len(step.constants) == 4 and step.constants[0].ndim == 2, "has no weights")
    hidden = step.constants[0].shape[0]
    _require(0 < hidden <= channels, f"has {hidden} hidden channels")
    return (hidden, channels), (hidden,), (channels, hidden), (channels,)


def _fuse_first_constants(step: Step) -> Shapes:
    (inputs, lower), (out, *lowered) = step.reads, step.writes
    channels = len(out)
    _require(1 <= len(lowered) <= MOST_LOWER_BRANCHES, f"has {len(lowered)} lower branches")
    _require(len(inputs) == channels and _same_size(inputs, out), "writes other planes than it reads")
    _require(len(lower) == channels and _is_doubled(out, lower), "enlarges planes that do not fit")
    for planes in lowered:
        _require(len(planes) == channels and planes == _strided(out, 2, planes), "lowers to planes that do not fit")
    return ((channels, 9), (channels,)) * len(lowered)


def _resizing_constants(step: Step) -> Shapes:
    out, inputs = step.writes[0], step.reads[-1]
    _require(len(inputs) == len(out), f"makes {len(out)} planes from {len(inputs)}")
    if step.kind is Kind.POOL:
        _require(_is_multiple(inputs, out), "pools to a size that does not fit")
        return ()
    _check_addend(step.reads[0], out)
    _require(_is_doubled(out, inputs), "enlarges by another factor than 2")
    _require(step.kind is Kind.ENLARGE or len(step.reads[0]) > 0, "adds to nothing")
    return ()


def _check_addend(addend: Planes, out: Planes) -> None:
    if len(addend):
        _require(len(addend) == len(out) and _same_size(addend, out), "adds planes that do not fit")


def _same_size(first: Planes, second: Planes) -> bool:
    return (first.height, first.width) == (second.height, second.width)


def _is_multiple(large: Planes, small: Planes) -> bool:
    """Whether the sides of one are those of the other times 1, 2, 4 or 8."""
    factors = (1, 2, 4, 8)
    return any((large.height, large.width) == (factor * small.height, factor * small.width) for factor in factors)


def _is_doubled(large: Planes, small: Planes) -> bool:
    return (large.height, large.width) == (2 * small.height, 2 * small.width)


def _strided(inputs: Planes, stride: int, out: Planes) -> Planes:
    """``out``, of the size that it must have."""
    return Planes(-(-inputs.height // stride), -(-inputs.width // stride), out.places)
