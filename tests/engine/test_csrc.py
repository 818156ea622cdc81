"""The C++ engine, built and run without Python: its own tests, its heatmaps, its refusals; with sanitizers too."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from litehrnet.engine.compiler import compile_network
from litehrnet.engine.programfile import write_program
from litehrnet.engine.reference import run_program
from litehrnet.keypoints.skeletons import COCO
from litehrnet.variants import VARIANTS
from litehrnet.weightsfile import WeightsInfo

from .conftest import MakeNetwork, arrays_of, noise

pytestmark = pytest.mark.slow
KERNELS = ["avx512", "avx2", "baseline", "plain"]


def _build(project: Path, folder: Path, sanitize: str = "") -> Path:
    if not (shutil.which("cmake") and shutil.which("c++")):
        reason = "no cmake or no C++ compiler (make tools-system installs them)"
        if os.environ.get("LITEHRNET_REQUIRE_SHARED") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    source = project / "src/litehrnet/engine/csrc"
    configure = ["cmake", "-S", str(source), "-B", str(folder), f"-DLITEHRNET_SANITIZE={sanitize}"]
    subprocess.run(configure, check=True, capture_output=True)
    done = subprocess.run(["cmake", "--build", str(folder), "-j2"], check=True, capture_output=True, text=True)
    assert "warning" not in done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def built(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _build(project, tmp_path_factory.mktemp("csrc"))


@pytest.fixture(scope="module", params=["address,undefined", "thread"])
def sanitized(request: pytest.FixtureRequest, project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _build(project, tmp_path_factory.mktemp("sanitized"), request.param)


def _run(program: Path, *words: object, kernels: str = "") -> str:
    environment = os.environ | {"LITEHRNET_KERNELS": kernels}
    done = subprocess.run([program, *map(str, words)], capture_output=True, text=True, env=environment)
    if "not on this machine" in done.stdout:
        pytest.skip(done.stdout.strip())
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout


def _written(settled: MakeNetwork, folder: Path, variant: str, size_wh: tuple[int, int]) -> tuple[Path, Path]:
    """A program and 4 images for it, and the heatmaps that NumPy gives for them in float64."""
    network = settled(variant, 17)
    program = compile_network(network.variant, arrays_of(network), size_wh, "weights")
    write_program(folder / "p.native", program, WeightsInfo(variant, COCO, size_wh))
    crops = noise(4, size_wh, seed=2)
    (folder / "images").write_bytes(crops.tobytes())
    np.save(folder / "expected.npy", run_program(program, crops, np.float64))
    return folder / "p.native", folder / "images"


def _error(folder: Path) -> float:
    expected = np.load(folder / "expected.npy")
    found = np.fromfile(folder / "heatmaps", np.float32).reshape(expected.shape)
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def test_vector_kernels_equal_the_plain_ones(built: Path) -> None:
    assert "FAILED" not in _run(built / "kernel_test", 300)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("size_wh", [(96, 128), (189, 253), (192, 256), (288, 384), (256, 256)])
def test_heatmaps_equal_those_in_float64_for_several_callers_at_once(
    settled: MakeNetwork, built: Path, tmp_path: Path, variant: str, size_wh: tuple[int, int]
) -> None:
    program, images = _written(settled, tmp_path, variant, size_wh)
    _run(built / "run_program", program, images, tmp_path / "heatmaps", 2)
    assert _error(tmp_path) < 5e-6


@pytest.mark.parametrize("kernels", KERNELS)
def test_instruction_set_is_chosen_by_the_environment(
    settled: MakeNetwork, built: Path, tmp_path: Path, kernels: str
) -> None:
    program, images = _written(settled, tmp_path, "lite_hrnet_18", (96, 128))
    said = _run(built / "run_program", program, images, tmp_path / "heatmaps", 1, kernels=kernels)
    assert said.strip() == kernels
    assert _error(tmp_path) < 5e-6


def test_instruction_set_that_is_none_is_an_error(settled: MakeNetwork, built: Path, tmp_path: Path) -> None:
    program, images = _written(settled, tmp_path, "naive_lite_hrnet_18", (32, 32))
    command = [str(built / "run_program"), str(program), str(images), str(tmp_path / "heatmaps"), "1"]
    environment = os.environ | {"LITEHRNET_KERNELS": "abacus"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 1
    assert done.stdout.startswith("LITEHRNET_KERNELS=abacus: not on this machine (expected one of ")


def test_sanitizers_find_nothing_in_kernels_and_callers(settled: MakeNetwork, sanitized: Path, tmp_path: Path) -> None:
    assert "FAILED" not in _run(sanitized / "kernel_test", 30)
    program, images = _written(settled, tmp_path, "lite_hrnet_18", (32, 64))
    _run(sanitized / "run_program", program, images, tmp_path / "heatmaps", 3)
    assert _error(tmp_path) < 5e-6


@pytest.mark.parametrize("variant", ["lite_hrnet_18", "naive_lite_hrnet_18"])
def test_mutated_programs_are_refused_or_run_within_their_memory(
    settled: MakeNetwork, sanitized: Path, tmp_path: Path, variant: str
) -> None:
    program, _ = _written(settled, tmp_path, variant, (32, 32))
    assert "refused" in _run(sanitized / "fuzz_program", program, os.environ.get("LITEHRNET_MUTATIONS", 1000))
