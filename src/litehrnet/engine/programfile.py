"""Programs as files: everything that running the network needs, checked before any of it is used.

All numbers are little-endian. The header of 64 bytes: 8 bytes that say what the file is, its version, then how many
bytes of text, whole numbers (int32) and constants (float32) follow, in this order, and the first 24 bytes of the
SHA-256 of the rest of the header and of all that follows it. The text is a JSON object: the description of the weights
and the names of the steps. The whole numbers are the program, written one after another as ``_program_numbers`` lists
them; constants lie in their order.
"""

import hashlib
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from litehrnet.engine.program import Activation, Kind, Planes, Program, Step
from litehrnet.engine.signatures import ProgramError, check_program
from litehrnet.errors import UserError
from litehrnet.io.files import read_bytes, write_bytes
from litehrnet.weights.weights_file import WeightsInfo, info_from_json, info_to_json

SUFFIX = ".native"
"""Of the names of program files."""

MAGIC = b"litehrn\x0c"
VERSION = 1
_HEADER = struct.Struct("<8sI4xQQQ")
_DIGEST_BYTES = 24


def write_program(path: Path, program: Program, info: WeightsInfo) -> None:
    """Write a program and the description of its weights to a file, in one step; constants become float32.

    Raises:
        UserError: ``path`` cannot be written.
    """
    flat = flatten(program)
    text = json.dumps({"info": info_to_json(info), "steps": flat.names}).encode()
    numbers, constants = flat.numbers.astype("<i4").tobytes(), flat.constants.astype("<f4").tobytes()
    header = _HEADER.pack(MAGIC, VERSION, len(text), len(numbers), len(constants))
    content = text + numbers + constants
    write_bytes(path, header + _digest(header, content) + content)


def read_program(path: Path) -> tuple[Program, WeightsInfo]:
    """Read and check what ``write_program`` wrote.

    Raises:
        UserError: The file is missing, no program, of another version, or damaged.
    """
    flat, info = read_flat(path)
    try:
        program = _Reader(flat.numbers, flat.constants).program(flat.names)
        check_program(program)
        check_outputs(len(program.output), info)
    except ProgramError as error:
        raise UserError(f"{path}: damaged: {error}") from error
    return program, info


def check_outputs(maps: int, info: WeightsInfo) -> None:
    """Refuse a program that gives another number of maps than its description names keypoints or classes.

    Raises:
        ProgramError: It does.
    """
    if len(info.outputs) != maps:
        given = "maps" if info.segments or info.detects else "heatmaps"
        raise ProgramError(f"it gives {maps} {given}, but its description names {info.outputs_text}")


@dataclass(frozen=True)
class FlatProgram:
    """A program as files hold it and the engine takes it, which checks it once more.

    Attributes:
        numbers: int32: the program, see ``_program_numbers``.
        constants: float32: of all steps, one after another.
        names: Of the steps.
    """

    numbers: NDArray[np.int32]
    constants: NDArray[np.float32]
    names: list[str]

    @property
    def input_size_wh(self) -> tuple[int, int]:
        """(width, height) of the image in pixels."""
        return int(self.numbers[0]), int(self.numbers[1])

    @property
    def bgr(self) -> bool:
        """Whether the image's channels are in OpenCV's order instead of RGB."""
        return bool(self.numbers[2])


def flatten(program: Program) -> FlatProgram:
    """A program as files hold it; constants become float32."""
    constants = [constant.astype(np.float32).ravel() for step in program.steps for constant in step.constants]
    numbers = np.array(list(_program_numbers(program)), np.int32)
    return FlatProgram(numbers, np.concatenate(constants), [step.name for step in program.steps])


def read_flat(path: Path) -> tuple[FlatProgram, WeightsInfo]:
    """Read what ``write_program`` wrote; its steps are not looked at.

    Raises:
        UserError: The file is missing, no program, of another version, or damaged.
    """
    content = read_bytes(path)
    if content[: len(MAGIC)] != MAGIC:
        raise UserError(f"{path}: not a program of the engine (expected a file written by litehrnet export)")
    start = _HEADER.size + _DIGEST_BYTES
    if len(content) < start:
        raise UserError(f"{path}: cut short ({len(content)} bytes)")
    header, digest = content[: _HEADER.size], content[_HEADER.size : start]
    _, version, text_bytes, number_bytes, constant_bytes = _HEADER.unpack(header)
    if version != VERSION:
        raise UserError(f"{path}: is of version {version} (expected {VERSION}; export the weights again)")
    if len(content) != start + text_bytes + number_bytes + constant_bytes:
        raise UserError(f"{path}: cut short or damaged ({len(content)} bytes are not what its header says)")
    if digest != _digest(header, content[start:]):
        raise UserError(f"{path}: damaged (its contents do not match the checksum stored with them)")
    text, rest = content[start : start + text_bytes], content[start + text_bytes :]
    try:
        fields = json.loads(text)
        description, names = fields["info"], [str(name) for name in fields["steps"]]
        numbers, constants = np.frombuffer(rest[:number_bytes], "<i4"), np.frombuffer(rest[number_bytes:], "<f4")
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: damaged: its text or its numbers cannot be read") from error
    return FlatProgram(numbers, constants, names), info_from_json(description, str(path))


def _digest(header: bytes, content: bytes) -> bytes:
    digest = hashlib.sha256(header)
    digest.update(content)
    return digest.digest()[:_DIGEST_BYTES]


def _program_numbers(program: Program) -> Iterator[int]:
    yield from (*program.input_size_wh, int(program.bgr), program.arena_floats)
    yield from _planes_numbers(program.output)
    yield len(program.steps)
    for step in program.steps:
        yield from (step.kind, step.activation, step.stride)
        yield from (len(step.reads), len(step.writes), len(step.constants))
        for planes in (*step.reads, *step.writes):
            yield from _planes_numbers(planes)
        for constant in step.constants:
            yield from (constant.ndim, *constant.shape)


def _planes_numbers(planes: Planes) -> tuple[int, ...]:
    return planes.height, planes.width, len(planes), *planes.places


class _Reader:
    """The inverse of ``_program_numbers``; what is no program raises ``ProgramError``."""

    def __init__(self, numbers: NDArray[np.int32], constants: NDArray[np.float32]) -> None:
        self._numbers, self._left = iter(numbers.tolist()), len(numbers)
        self._constants = constants

    def program(self, names: list[str]) -> Program:
        width, height, bgr, arena_floats = self._take(4)
        output = self._planes()
        (count,) = self._take(1)
        if count != len(names):
            raise ProgramError(f"it has {count} steps and {len(names)} names for them")
        steps = tuple(self._step(name) for name in names)
        if self._left or len(self._constants):
            raise ProgramError("it goes on after its last step")
        return Program((width, height), bool(bgr), arena_floats, steps, output)

    def _take(self, count: int) -> list[int]:
        if not 0 <= count <= self._left:
            raise ProgramError("it ends within a step")
        self._left -= count
        return list(islice(self._numbers, count))

    def _planes(self) -> Planes:
        height, width, count = self._take(3)
        return Planes(height, width, tuple(self._take(count)))

    def _step(self, name: str) -> Step:
        kind, activation, stride, reads, writes, constants = self._take(6)
        try:
            known = Kind(kind), Activation(activation)
        except ValueError as error:
            raise ProgramError(f"it has a step of kind {kind} with activation {activation}") from error
        return Step(
            known[0],
            name,
            tuple(self._planes() for _ in range(reads)),
            tuple(self._planes() for _ in range(writes)),
            tuple(self._constant() for _ in range(constants)),
            known[1],
            stride,
        )

    def _constant(self) -> NDArray[np.float32]:
        (dimensions,) = self._take(1)
        shape = self._take(dimensions)
        size = prod(shape)
        if min(shape, default=0) < 1 or size > len(self._constants):
            raise ProgramError(f"it has a constant of shape {tuple(shape)}")
        constant, self._constants = self._constants[:size], self._constants[size:]
        return constant.reshape(shape)
