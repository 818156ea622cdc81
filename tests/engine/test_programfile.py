"""Program files: what was written comes back; what was damaged, with or without a valid checksum, is one sentence."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from litehrnet.engine import _native
from litehrnet.engine.compiler import compile_network
from litehrnet.engine.program import Activation, Kind, Planes, Program
from litehrnet.engine.programfile import flatten, read_program, write_program
from litehrnet.engine.reference import run_program
from litehrnet.errors import UserError
from litehrnet.keypoints.skeletons import COCO
from litehrnet.weights.weights_file import WeightsInfo

from .conftest import MakeNetwork, arrays_of, noise

INFO = WeightsInfo("lite_hrnet_18", COCO, (64, 96), provenance="a test")
_START = 64  # of what follows the header


@pytest.fixture(scope="module")
def program(settled: MakeNetwork) -> Program:
    network = settled("lite_hrnet_18", 17)
    return compile_network(network.variant, arrays_of(network), (64, 96), "weights")


@pytest.fixture(scope="module")
def written(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("program") / "p.native"
    write_program(path, program, INFO)
    return path


def _signed(content: bytes) -> bytes:
    """``content`` with the checksum that fits it."""
    digest = hashlib.sha256(content[: _START - 24] + content[_START:]).digest()[:24]
    return content[: _START - 24] + digest + content[_START:]


def test_program_and_description_come_back(program: Program, written: Path) -> None:
    again, info = read_program(written)
    assert info == INFO
    assert (again.input_size_wh, again.bgr, again.arena_floats) == ((64, 96), False, program.arena_floats)
    assert again.output == program.output
    for ours, theirs in zip(again.steps, program.steps, strict=True):
        assert replace(ours, constants=()) == replace(theirs, constants=())
        for found, expected in zip(ours.constants, theirs.constants, strict=True):
            np.testing.assert_array_equal(found, expected.astype(np.float32))


def test_program_that_was_read_computes_the_same(program: Program, written: Path) -> None:
    crops = noise(1, (64, 96))
    np.testing.assert_array_equal(run_program(read_program(written)[0], crops), run_program(program, crops))


def test_writing_twice_gives_the_same_bytes(written: Path, tmp_path: Path) -> None:
    again, info = read_program(written)
    write_program(tmp_path / "again.native", again, info)
    assert (tmp_path / "again.native").read_bytes() == written.read_bytes()


def test_truncated_and_extended_files_are_refused(written: Path, tmp_path: Path) -> None:
    content, path = written.read_bytes(), tmp_path / "t.native"
    for length in [*range(300), *range(300, len(content), len(content) // 200)]:
        path.write_bytes(content[:length])
        with pytest.raises(UserError, match=r"t\.native: (not a program|cut short)"):
            read_program(path)
    path.write_bytes(content + b"\0")
    with pytest.raises(UserError, match="cut short or damaged"):
        read_program(path)


def test_bit_flips_are_refused(written: Path, tmp_path: Path) -> None:
    content, path, rng = written.read_bytes(), tmp_path / "f.native", np.random.default_rng(0)
    positions = [*range(_START), *rng.integers(_START, len(content), 100)]
    for position in positions:
        flipped = bytearray(content)
        flipped[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        with pytest.raises(UserError, match=r"f\.native: "):
            read_program(path)


def test_another_version_and_another_file_are_named(written: Path, tmp_path: Path) -> None:
    path = tmp_path / "v.native"
    content = bytearray(written.read_bytes())
    content[8] = 9
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"v\.native: is of version 9 \(expected 1"):
        read_program(path)
    path.write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(UserError, match="not a program of the engine"):
        read_program(path)


def test_mutated_numbers_with_a_valid_checksum_are_checked(written: Path, tmp_path: Path) -> None:
    """Every file that is read names only planes in its arena and constants of fitting shapes, or is refused."""
    content, path, rng = written.read_bytes(), tmp_path / "m.native", np.random.default_rng(1)
    text_bytes, number_bytes = (int.from_bytes(content[i : i + 8], "little") for i in (16, 24))
    numbers = np.frombuffer(content[_START + text_bytes :][:number_bytes], "<i4")
    head, tail = content[: _START + text_bytes], content[_START + text_bytes + number_bytes :]
    refused = 0
    for _ in range(60):
        mutated = numbers.copy()
        mutated[rng.integers(len(mutated))] = rng.choice([-(2**31), -1, 0, 1, 2, 3, 17, 4096, 2**24, 2**31 - 1])
        path.write_bytes(_signed(head + mutated.tobytes() + tail))
        try:
            read_program(path)
        except UserError as error:
            refused += str(error).startswith(f"{path}: damaged: ")
    assert refused > 40


@pytest.mark.parametrize("text", [b"{", b"[]", b"{}", b'{"info": 3, "steps": 4}', b'{"info": "", "steps": []}'])
def test_text_that_is_no_description_is_refused(written: Path, tmp_path: Path, text: bytes) -> None:
    content, path = written.read_bytes(), tmp_path / "t.native"
    old = int.from_bytes(content[16:24], "little")
    changed = content[:16] + len(text).to_bytes(8, "little") + content[24:_START] + text + content[_START + old :]
    path.write_bytes(_signed(changed))
    with pytest.raises(UserError, match=r"t\.native: (damaged: its text|has damaged litehrnet metadata)"):
        read_program(path)


def test_description_of_another_number_of_keypoints_is_refused(program: Program, tmp_path: Path) -> None:
    fewer = replace(program, output=program.output.part(0, 16))
    write_program(tmp_path / "k.native", fewer, INFO)
    with pytest.raises(UserError, match="it gives 16 heatmaps, but its description names 17 keypoints"):
        read_program(tmp_path / "k.native")


def _with(program: Program, kind: Kind, **changes: object) -> Program:
    """The program with its first step of one kind changed."""
    index = next(i for i, step in enumerate(program.steps) if step.kind is kind)
    step = replace(program.steps[index], **changes)  # type: ignore[arg-type]
    return replace(program, steps=(*program.steps[:index], step, *program.steps[index + 1 :]))


def _moved(program: Program, kind: Kind, place: int) -> Program:
    step = next(step for step in program.steps if step.kind is kind)
    out = step.writes[0]
    return _with(program, kind, writes=(Planes(out.height, out.width, (place, *out.places[1:])), *step.writes[1:]))


Change = Callable[[Program], Program]
_WRONG: Sequence[tuple[Change, str]] = [
    (lambda p: replace(p, input_size_wh=(50, 64)), "its output is not a quarter of its images"),
    (lambda p: replace(p, arena_floats=2**30 + 16), "its arena has an impossible size"),
    (lambda p: replace(p, output=p.output.part(0, 0)), "it has no output"),
    (lambda p: replace(p, output=p.steps[4].writes[0]), "its output is not a quarter of its images"),
    (lambda p: _moved(p, Kind.POINTWISE, p.arena_floats), r"\(pointwise\) has a plane outside its arena"),
    (lambda p: _moved(p, Kind.POOL, 0), r"\(pool\) has a plane outside its arena"),
    (lambda p: _moved(p, Kind.DEPTHWISE, 40), "has a plane that does not begin at a cache line"),
    (lambda p: _with(p, Kind.POINTWISE, stride=2), "has a stride"),
    (lambda p: _with(p, Kind.DEPTHWISE, stride=2), "writes planes that do not fit"),
    (lambda p: _with(p, Kind.DEPTHWISE, reads=()), "has another number of inputs or outputs"),
    (lambda p: _with(p, Kind.DEPTHWISE, constants=(np.ones((20, 16)), np.ones(20))), "has kernels of an unknown size"),
    (lambda p: _with(p, Kind.FUSE_FIRST, writes=()), "writes nothing"),
    (lambda p: _with(p, Kind.SPATIAL_WEIGHTING, constants=()), "has no weights"),
    (lambda p: _with(p, Kind.STEM, constants=()), "has another number of constants"),
    (lambda p: _with(p, Kind.STEM, activation=Activation.RELU), "has an activation"),
    (lambda p: _with(p, Kind.ENLARGE, reads=p.steps[-1].reads[::-1]), "enlarges planes that do not fit"),
]


def _check(program: Program) -> None:
    flat = flatten(program)
    _native.check(flat.numbers, flat.constants)


@pytest.mark.parametrize(("change", "message"), _WRONG)
def test_programs_that_are_wrong_in_one_place_are_refused(program: Program, change: Change, message: str) -> None:
    _check(program)
    with pytest.raises(_native.ProgramError, match=message):
        _check(change(program))


@pytest.mark.parametrize("position", [0, 1])
def test_unknown_kinds_and_activations_are_refused(program: Program, position: int) -> None:
    flat = flatten(program)
    first_step = 4 + 3 + len(program.output) + 1
    numbers = flat.numbers.copy()
    numbers[first_step + position] = [len(Kind), len(Activation)][position]
    with pytest.raises(_native.ProgramError, match=r"it has (a step of an unknown kind|an unknown activation)"):
        _native.check(numbers, flat.constants)


def test_python_and_cpp_name_the_same_kinds_and_activations() -> None:
    assert [(kind.value, kind.name.lower()) for kind in Kind] == list(enumerate(_native.KINDS))
    assert [(a.value, a.name.lower()) for a in Activation] == list(enumerate(_native.ACTIVATIONS))


def test_names_of_steps_stand_in_the_file(written: Path) -> None:
    content = written.read_bytes()
    text = content[_START : _START + int.from_bytes(content[16:24], "little")]
    assert json.loads(text)["steps"][0] == "backbone.stem"
