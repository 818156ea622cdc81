"""The C++ engine, built and run without Python: its own tests, its heatmaps, its refusals; with sanitizers too."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from tests.compiled_variants import COMPARED, LITE_NETWORKS

from litehrnet.engine.builder import Builder
from litehrnet.engine.compiler import compile_network
from litehrnet.engine.parameters import Floats
from litehrnet.engine.planning import plan_arena
from litehrnet.engine.program import ABSENT, Activation, Kind, Program, Step
from litehrnet.engine.programfile import write_program
from litehrnet.engine.reference import run_program
from litehrnet.keypoints.skeletons import COCO
from litehrnet.weights.weights_file import WeightsInfo

from .conftest import MakeNetwork, arrays_of, noise

pytestmark = pytest.mark.slow
KERNELS = ["avx512bf16", "avx512", "avx2", "baseline", "plain"]
EMULATOR = "qemu-aarch64"
MUTATIONS = int(os.environ.get("LITEHRNET_MUTATIONS", "100000"))


BuildCsrc = Callable[..., Path]


@pytest.fixture(scope="module")
def built(build_csrc: BuildCsrc, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_csrc(tmp_path_factory.mktemp("csrc"))


@pytest.fixture(scope="module")
def address_sanitized(build_csrc: BuildCsrc, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_csrc(tmp_path_factory.mktemp("address"), "-DLITEHRNET_SANITIZE=address,undefined")


@pytest.fixture(scope="module")
def thread_sanitized(build_csrc: BuildCsrc, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_csrc(tmp_path_factory.mktemp("thread"), "-DLITEHRNET_SANITIZE=thread")


@pytest.fixture(scope="module")
def built_for_arm(build_csrc: BuildCsrc, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_csrc(tmp_path_factory.mktemp("arm"), for_arm=True)


def _run(program: Path, *words: object, kernels: str = "", emulator: tuple[str, ...] = ()) -> str:
    environment = os.environ | {"LITEHRNET_KERNELS": kernels}
    command = [*emulator, str(program), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if "not on this machine" in done.stdout:
        pytest.skip(done.stdout.strip())
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout


def _written(
    settled: MakeNetwork,
    folder: Path,
    variant: str,
    size_wh: tuple[int, int],
    shorten: Callable[[Program], Program] | None = None,
) -> tuple[Path, Path]:
    """A program and 4 images for it, and the heatmaps that NumPy gives for them in float64, unless it is shortened."""
    network = settled(variant, 17)
    program = compile_network(network.variant, arrays_of(network), size_wh, "weights")
    if shorten:
        program = shorten(program)
    write_program(folder / "p.native", program, WeightsInfo(variant, COCO, size_wh))
    crops = noise(4, size_wh, seed=2)
    (folder / "images").write_bytes(crops.tobytes())
    if not shorten:
        np.save(folder / "expected.npy", run_program(program, crops, np.float64))
    return folder / "p.native", folder / "images"


def _one_step_of_each_sort(program: Program) -> Program:
    sorts: dict[object, Step] = {}
    for step in program.steps:
        present = tuple(len(planes) > 0 for planes in (*step.reads, *step.writes))
        sorts.setdefault((step.kind, step.stride, step.activation, present), step)
    return replace(program, steps=tuple(sorts.values()))


def _one_step_of_each_other_sort(folder: Path) -> Path:
    """A program of the steps that Lite-HRNet does not have, with few channels."""
    random, b = np.random.default_rng(0), Builder()

    def weights(outputs: int, inputs: int, products: int = 1) -> tuple[Floats, Floats]:
        return random.normal(size=(products * outputs, inputs)), random.normal(size=outputs)

    image = b.image(36, 32, np.ones((2, 3)), bgr=False)
    halved = b.convolution("halved", image, weights(17, 27), Activation.RELU6, stride=2)
    x = b.max_pool("pool", halved)
    y = b.convolution("added", x, weights(17, 153), Activation.HARD_SWISH, addend=x)
    b.transposed("enlarged", y, weights(5, 68, 4))
    means = b.new(1, 1, 17)
    y = b.depthwise("filtered", y, weights(17, 25), 1, Activation.HARD_SWISH, means=means)
    gates = (*weights(4, 17), *weights(17, 4))
    b.steps.append(Step(Kind.SPATIAL_WEIGHTING, "gates", (y, means), (y,), gates, Activation.HARD_SIGMOID))
    b.add("sum", y, x, Activation.RELU)
    runs = b.context("runs", halved, weights(1, 17), b.new(17, 8, 9))
    means = b.context("mean", y, weights(1, 17), b.new(1, 1, 17))
    b.steps.append(Step(Kind.SPATIAL_WEIGHTING, "scaled", (y, means), (y,), (*gates, np.ones(17), np.ones(17))))
    attention = (*weights(4, 17), *weights(3, 4))
    wide = b.mixed_kernel("wide", y, runs, (*attention, random.normal(size=(3, 17 * 49))))
    b.steps.append(Step(Kind.DEPTHWISE, "wide", (y, runs, wide), (y, ABSENT), (np.ones(17),)))
    mixed = b.mixed_kernel("mixed", y, ABSENT, (*attention, random.normal(size=(3, 17 * 17))))
    b.steps.append(Step(Kind.POINTWISE, "mixed", (y, ABSENT, mixed), (y,), (np.ones(17),)))
    fused = (b.new_like(halved), b.new_like(x))
    b.steps.append(Step(Kind.FUSE_FIRST, "fused", (halved, x), fused, weights(17, 9), Activation.RELU))
    steps, output, arena_floats = plan_arena(b.steps, b.pointwise("last", y, weights(2, 17)))
    program = Program((36, 32), False, arena_floats, tuple(steps), output)
    write_program(folder / "p.native", program, WeightsInfo("small_hrnet_w16", COCO, (36, 32)))
    return folder / "p.native"


def _error(folder: Path) -> float:
    expected = np.load(folder / "expected.npy")
    found = np.fromfile(folder / "heatmaps", np.float32).reshape(expected.shape)
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def test_vector_kernels_equal_the_plain_ones(built: Path) -> None:
    assert "FAILED" not in _run(built / "engine_kernel_test", 300)


@pytest.mark.parametrize(
    ("variant", "size_wh"),
    [
        *product(LITE_NETWORKS, [(96, 128), (189, 253), (192, 256), (288, 384), (256, 256)]),
        *product([*COMPARED, "dite_hrnet_18"], [(61, 93)]),
    ],
)
def test_heatmaps_equal_those_in_float64_and_are_the_same_for_several_callers_at_once(
    settled: MakeNetwork, built: Path, tmp_path: Path, variant: str, size_wh: tuple[int, int]
) -> None:
    program, images = _written(settled, tmp_path, variant, size_wh)
    _run(built / "simple", program, images, tmp_path / "heatmaps", 3)
    assert _error(tmp_path) < 5e-6
    _run(built / "callers_test", program, images)


@pytest.mark.parametrize("kernels", KERNELS)
def test_instruction_set_is_chosen_by_the_environment(
    settled: MakeNetwork, built: Path, tmp_path: Path, kernels: str
) -> None:
    program, images = _written(settled, tmp_path, "lite_hrnet_18", (96, 128))
    said = _run(built / "simple", program, images, tmp_path / "heatmaps", 1, kernels=kernels)
    assert said.strip() == kernels
    assert _error(tmp_path) < 5e-6


@pytest.mark.parametrize("kernels", ["avx512bf16", "plain"])
@pytest.mark.parametrize("variant", LITE_NETWORKS)
def test_heatmaps_in_bfloat16_are_near_those_in_float64(
    settled: MakeNetwork, built: Path, tmp_path: Path, variant: str, kernels: str
) -> None:
    program, images = _written(settled, tmp_path, variant, (96, 128))
    _run(built / "simple", program, images, tmp_path / "heatmaps", 2, "bfloat16", kernels=kernels)
    assert 1e-4 < _error(tmp_path) < 2e-2


def test_bfloat16_is_refused_where_the_kernels_have_none(settled: MakeNetwork, built: Path, tmp_path: Path) -> None:
    program, images = _written(settled, tmp_path, "naive_lite_hrnet_18", (32, 32))
    command = [str(built / "simple"), str(program), str(images), str(tmp_path / "heatmaps"), "1", "bfloat16"]
    environment = os.environ | {"LITEHRNET_KERNELS": "baseline"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 1
    assert done.stdout == "the baseline kernels have no bfloat16 (a CPU with AVX512-BF16 has)\n"


def test_instruction_set_that_is_none_is_an_error(settled: MakeNetwork, built: Path, tmp_path: Path) -> None:
    program, images = _written(settled, tmp_path, "naive_lite_hrnet_18", (32, 32))
    command = [str(built / "simple"), str(program), str(images), str(tmp_path / "heatmaps"), "1"]
    environment = os.environ | {"LITEHRNET_KERNELS": "abacus"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 1
    assert done.stdout.startswith("LITEHRNET_KERNELS=abacus: not on this machine (expected one of ")


@pytest.mark.parametrize("build", ["address_sanitized", "thread_sanitized"])
def test_sanitizers_find_nothing_in_kernels_and_callers(
    request: pytest.FixtureRequest, settled: MakeNetwork, tmp_path: Path, build: str
) -> None:
    sanitized = request.getfixturevalue(build)
    assert "FAILED" not in _run(sanitized / "engine_kernel_test", 30)
    program, images = _written(settled, tmp_path, "lite_hrnet_18", (32, 64))
    _run(sanitized / "simple", program, images, tmp_path / "heatmaps", 3)
    assert _error(tmp_path) < 5e-6
    _run(sanitized / "callers_test", program, images)


def test_neon_kernels_equal_the_plain_ones(built_for_arm: Path) -> None:
    assert "neon stem" in _run(built_for_arm / "engine_kernel_test", 100, emulator=(EMULATOR,))


@pytest.mark.parametrize("variant", [*LITE_NETWORKS, "small_hrnet_w16", "dite_hrnet_18"])
def test_heatmaps_of_neon_equal_those_in_float64(
    settled: MakeNetwork, built_for_arm: Path, tmp_path: Path, variant: str
) -> None:
    program, images = _written(settled, tmp_path, variant, (96, 128))
    words = (program, images, tmp_path / "heatmaps", 2)
    assert _run(built_for_arm / "simple", *words, emulator=(EMULATOR,)).strip() == "neon"
    assert _error(tmp_path) < 5e-6


def test_whole_program_is_refused_mutated_or_runs_within_its_memory(
    settled: MakeNetwork, address_sanitized: Path, tmp_path: Path
) -> None:
    program, _ = _written(settled, tmp_path, "lite_hrnet_18", (32, 32))
    assert "refused" in _run(address_sanitized / "fuzz_program", program, MUTATIONS // 50)


@pytest.mark.parametrize("variant", ["lite_hrnet_18", "naive_lite_hrnet_18"])
def test_steps_of_each_sort_are_refused_mutated_or_run_within_their_memory(
    settled: MakeNetwork, address_sanitized: Path, tmp_path: Path, variant: str
) -> None:
    program, _ = _written(settled, tmp_path, variant, (32, 32), _one_step_of_each_sort)
    assert "refused" in _run(address_sanitized / "fuzz_program", program, MUTATIONS)


def test_steps_of_each_other_sort_are_refused_mutated_or_run_within_their_memory(
    address_sanitized: Path, tmp_path: Path
) -> None:
    program = _one_step_of_each_other_sort(tmp_path)
    assert "refused" in _run(address_sanitized / "fuzz_program", program, MUTATIONS)


@pytest.mark.parametrize("build", ["built", "address_sanitized", "thread_sanitized"])
def test_every_allocation_may_fail(
    request: pytest.FixtureRequest, settled: MakeNetwork, tmp_path: Path, build: str
) -> None:
    shorten = None if build == "built" else _one_step_of_each_sort
    program, _ = _written(settled, tmp_path, "naive_lite_hrnet_18", (32, 32), shorten)
    said = _run(request.getfixturevalue(build) / "allocation_test", program)
    assert said.count("allocations, each made to fail") == 2
