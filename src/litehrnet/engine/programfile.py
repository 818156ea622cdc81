"""Programs as files: everything that running a network needs, checked before any of it is used.

All numbers are little-endian. The header has 64 bytes: 8 magic bytes, the version, the sizes in bytes of the text, of
the whole numbers (int32) and of the constants (float32), which follow in this order, and a digest. The digest is the
first 24 bytes of the SHA-256 of the rest of the header and of everything after it. The text is a JSON object with the
description of the weights and the names of the steps. ``_program_numbers`` lists the whole numbers.
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

from litehrnet.engine.native import ABSENT, native_module
from litehrnet.engine.program import Activation, Kind, Planes, Program, Step
from litehrnet.errors import UserError
from litehrnet.io.files import read_bytes, write_bytes
from litehrnet.weights.weights_file import WeightsInfo, info_from_json, info_to_json

SUFFIX = ".native"
"""Suffix of program files."""

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
    """Read what ``write_program`` wrote; the compiled engine checks it.

    Raises:
        UserError: The file is missing, not a program, of another version, or damaged; or the engine was not built.
    """
    flat, info = read_flat(path)
    native = native_module()
    if native is None:
        raise UserError(f"{path}: {ABSENT}")
    try:
        native.check(flat.numbers, flat.constants)
        program = _Reader(flat).program(flat.names)
        check_outputs(len(program.output), info)
    except ValueError as error:
        raise UserError(f"{path}: damaged: {error}") from error
    return program, info


def check_outputs(maps: int, info: WeightsInfo) -> None:
    """Refuse a program whose number of maps differs from the keypoints or classes that its description names.

    Raises:
        ValueError: The numbers differ.
    """
    if len(info.outputs) != maps:
        given = "maps" if info.segments or info.detects else "heatmaps"
        raise ValueError(f"it gives {maps} {given}, but its description names {info.outputs_text}")


@dataclass(frozen=True)
class FlatProgram:
    """A program as it is stored in files and passed to the compiled engine.

    Attributes:
        numbers: int32; ``_program_numbers`` lists them.
        constants: float32; the constants of all steps, one after another.
        names: Names of the steps.
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
    """Flatten a program as it is stored in files; constants become float32."""
    constants = [constant.astype(np.float32).ravel() for step in program.steps for constant in step.constants]
    numbers = np.array(list(_program_numbers(program)), np.int32)
    return FlatProgram(numbers, np.concatenate(constants), [step.name for step in program.steps])


def read_flat(path: Path) -> tuple[FlatProgram, WeightsInfo]:
    """Read what ``write_program`` wrote, without checking its steps.

    Raises:
        UserError: The file is missing, not a program, of another version, or damaged.
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
        raise UserError(f"{path}: cut short or damaged ({len(content)} bytes, and its header states another size)")
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
    """The inverse of ``_program_numbers``, for numbers that the compiled engine has checked."""

    def __init__(self, flat: FlatProgram) -> None:
        self._numbers, self._constants = iter(flat.numbers.tolist()), flat.constants

    def program(self, names: list[str]) -> Program:
        width, height, bgr, arena_floats = self._take(4)
        output = self._planes()
        (count,) = self._take(1)
        if count != len(names):
            raise ValueError(f"it has {count} steps and {len(names)} names for them")
        steps = tuple(self._step(name) for name in names)
        return Program((width, height), bool(bgr), arena_floats, steps, output)

    def _take(self, count: int) -> list[int]:
        return list(islice(self._numbers, count))

    def _planes(self) -> Planes:
        height, width, count = self._take(3)
        return Planes(height, width, tuple(self._take(count)))

    def _step(self, name: str) -> Step:
        kind, activation, stride, reads, writes, constants = self._take(6)
        return Step(
            Kind(kind),
            name,
            tuple(self._planes() for _ in range(reads)),
            tuple(self._planes() for _ in range(writes)),
            tuple(self._constant() for _ in range(constants)),
            Activation(activation),
            stride,
        )

    def _constant(self) -> NDArray[np.float32]:
        (dimensions,) = self._take(1)
        shape = self._take(dimensions)
        constant, self._constants = self._constants[: prod(shape)], self._constants[prod(shape) :]
        return constant.reshape(shape)
