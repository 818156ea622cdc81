"""The native engine in Python: what it takes, what it refuses, and that many may use it at once."""

import ctypes
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from tests.compiled_variants import LITE_NETWORKS

import litehrnet.runtimes.native
import litehrnet.runtimes.open
from litehrnet.engine import units
from litehrnet.engine.compiler import UnsupportedUnitError, compile_network
from litehrnet.engine.native import native_module
from litehrnet.engine.program import Program
from litehrnet.engine.programfile import flatten, write_program
from litehrnet.errors import UserError
from litehrnet.export.native import export_native
from litehrnet.io.notes import say_once
from litehrnet.models import create_network
from litehrnet.runtimes import open_runtime
from litehrnet.runtimes.native import NativeRuntime, compile_weights, open_native
from litehrnet.runtimes.torch import open_torch
from litehrnet.variants import NAIVE, VARIANTS, find_variant
from litehrnet.weights.weights_file import read_weights


@pytest.fixture(scope="module")
def runtime(small_weights: Path) -> NativeRuntime:
    return open_native(small_weights, threads=2)


@pytest.fixture(scope="module")
def crops() -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (5, 64, 64, 3), dtype=np.uint8)


def test_native_is_the_default_for_weights(small_weights: Path) -> None:
    opened = open_runtime(small_weights, threads=1)
    assert isinstance(opened, NativeRuntime)
    assert opened.description.startswith("native ")
    assert opened.description.endswith(f"float32, {opened.runner.kernels}, 1 threads")


def test_program_file_gives_what_its_weights_give(
    runtime: NativeRuntime, small_weights: Path, crops: NDArray[np.uint8], tmp_path: Path
) -> None:
    path = tmp_path / "small.native"
    export_native(small_weights, path)
    opened = open_runtime(path)
    assert opened.info == runtime.info
    np.testing.assert_array_equal(opened.forward(crops), runtime.forward(crops))


def test_checkpoint_of_pytorch_runs_natively(small_mpii_weights: Path, crops: NDArray[np.uint8]) -> None:
    opened = open_runtime(small_mpii_weights, input_size_wh=(64, 64), threads=1)
    assert opened.description.startswith("native")
    expected = open_torch(small_mpii_weights, (64, 64), threads=1).forward(crops)
    assert np.abs(opened.forward(crops) - expected).max() <= 2e-5 * np.abs(expected).max()


def _bgr_program(weights: Path) -> Program:
    arrays, info = read_weights(weights)
    return compile_network(
        find_variant("naive_lite_hrnet_18"), arrays, (64, 64), "w", mean=info.mean, std=info.std, bgr=True
    )


def test_program_for_bgr_crops_gives_the_same_for_them(
    runtime: NativeRuntime, small_weights: Path, crops: NDArray[np.uint8]
) -> None:
    expected = runtime.forward(crops)
    program = flatten(_bgr_program(small_weights))
    native = native_module()
    assert native is not None
    heatmaps = native.Runner(program.numbers, program.constants, 1).run(np.ascontiguousarray(crops[..., ::-1]))
    np.testing.assert_allclose(heatmaps, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    # The runtime takes RGB whatever the program takes.
    again = NativeRuntime(program, runtime.info, "w", threads=1).forward(crops)
    np.testing.assert_array_equal(again, heatmaps)


def test_many_estimators_in_many_threads_agree(
    runtime: NativeRuntime, small_weights: Path, crops: NDArray[np.uint8]
) -> None:
    expected = runtime.forward(crops)
    opened = [open_native(small_weights, threads=threads) for threads in (1, 2, 3)]
    wrong: list[int] = []

    def work(number: int) -> None:
        for round_ in range(8):
            if not np.array_equal(opened[(number + round_) % 3].forward(crops), expected):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


FORK = """
import os, sys, threading
from pathlib import Path
import numpy as np
from litehrnet.runtimes.native import open_native

runtime = open_native(Path(sys.argv[1]), threads=2)
crops = np.random.default_rng(3).integers(0, 256, (5, 64, 64, 3), dtype=np.uint8)
expected = runtime.forward(crops)
stop = threading.Event()

def keep_busy():
    while not stop.is_set():
        runtime.forward(crops)

busy = threading.Thread(target=keep_busy)
busy.start()
codes = []
for _ in range(5):
    child = os.fork()
    if child == 0:
        results = []
        callers = [threading.Thread(target=lambda: results.append(runtime.forward(crops))) for _ in range(3)]
        for caller in callers: caller.start()
        for caller in callers: caller.join()
        os._exit(0 if len(results) == 3 and all(np.array_equal(r, expected) for r in results) else 3)
    codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
stop.set()
busy.join()
print(codes)
"""


def test_forked_processes_run_a_runtime_that_was_busy_when_they_were_made(small_weights: Path) -> None:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", FORK, small_weights], capture_output=True, text=True)
    assert (done.stdout.strip(), done.returncode) == ("[0, 0, 0, 0, 0]", 0), done.stderr


def test_rounding_mode_and_small_numbers_of_the_caller_are_left_alone(
    runtime: NativeRuntime, crops: NDArray[np.uint8]
) -> None:
    libm = ctypes.CDLL("libm.so.6")
    before, upward = libm.fegetround(), 0x800 if os.uname().machine == "x86_64" else 0x400000
    expected = runtime.forward(crops)
    assert libm.fesetround(upward) == 0
    try:
        found = runtime.forward(crops)
        assert libm.fegetround() == upward
    finally:
        libm.fesetround(before)
    np.testing.assert_array_equal(found, expected)
    assert np.float32(1e-38) * np.float32(0.1) > 0


def test_profile_times_every_step(runtime: NativeRuntime, small_weights: Path, crops: NDArray[np.uint8]) -> None:
    seconds = runtime.runner.profile(crops[:1])
    program, _ = compile_weights(small_weights)
    assert runtime.runner.kinds == [step.kind for step in program.steps]
    assert seconds.shape == (len(program.steps),)
    assert (seconds > 0).all()


@pytest.mark.parametrize("variant", LITE_NETWORKS)
def test_arena_takes_no_more_than_5_megabytes_per_thread(variant: str) -> None:
    native = native_module()
    assert native is not None
    arrays = {name: value.numpy() for name, value in create_network(variant).state_dict().items()}
    flat = flatten(compile_network(VARIANTS[variant], arrays, (192, 256), "w"))
    assert native.Runner(flat.numbers, flat.constants, 4).arena_bytes <= 5e6


def test_a_program_without_steps_is_refused(small_weights: Path) -> None:
    native = native_module()
    assert native is not None
    program, _ = compile_weights(small_weights)
    numbers = flatten(program).numbers[: 4 + 3 + len(program.output) + 1].copy()
    numbers[-1] = 0
    with pytest.raises(native.ProgramError, match=r"^it has no steps$"):
        native.Runner(numbers, np.empty(0, np.float32), 2)


def test_one_crop_gives_the_same_however_many_threads_share_it(small_weights: Path, crops: NDArray[np.uint8]) -> None:
    expected = open_native(small_weights, threads=1).forward(crops)
    for threads in (2, 3, 5):
        runtime = open_native(small_weights, threads=threads)
        found = [runtime.forward(crops[i : i + 1]) for i in range(len(crops))]
        np.testing.assert_array_equal(np.concatenate(found), expected)


def test_shared_object_takes_no_more_than_2_megabytes() -> None:
    native = native_module()
    assert native is not None
    assert native.__file__ is not None
    assert Path(native.__file__).stat().st_size <= 2e6


@pytest.mark.parametrize("shape", [(1, 64, 32, 3), (1, 32, 64, 3), (1, 64, 64, 4), (64, 64, 3)])
def test_images_of_another_shape_are_refused(runtime: NativeRuntime, shape: tuple[int, ...]) -> None:
    with pytest.raises((ValueError, TypeError)):
        runtime.runner.run(np.zeros(shape, np.uint8))


Change = Callable[[Program], Program]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: replace(p, arena_floats=4096), "damaged: its output has a plane outside its arena"),
        (lambda p: replace(p, input_size_wh=(32, 64)), "damaged: "),
        (lambda p: replace(p, output=p.output.part(0, 16)), "damaged: it gives 16 heatmaps, but .* names 17 keypoints"),
        (lambda p: replace(p, output=replace(p.output, width=8)), "its output is not a quarter of its images"),
        (lambda p: replace(p, steps=(replace(p.steps[0], stride=2),)), "damaged: step 0 "),
    ],
)
def test_damaged_programs_are_one_sentence(small_weights: Path, tmp_path: Path, change: Change, message: str) -> None:
    program, info = compile_weights(small_weights)
    path = tmp_path / "broken.native"
    write_program(path, change(program), info)
    with pytest.raises(UserError, match=rf"broken\.native: .*{message}") as error:
        open_runtime(path)
    assert "\n" not in str(error.value)


def test_more_threads_than_can_be_had_are_refused(small_weights: Path) -> None:
    with pytest.raises(UserError, match="1000000 threads: too many"):
        open_native(small_weights, threads=1_000_000)


def test_instruction_set_is_forced_by_the_environment(small_weights: Path) -> None:
    code = "import sys; from litehrnet.runtimes import open_runtime; from pathlib import Path; "
    code += "print(open_runtime(Path(sys.argv[1]), threads=1).description)"
    command = [sys.executable, "-c", code, str(small_weights)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"LITEHRNET_KERNELS": "plain"})
    assert "float32, plain, 1 threads" in done.stdout
    command = [sys.executable, "-m", "litehrnet", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"LITEHRNET_KERNELS": "abacus"})
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "LITEHRNET_KERNELS=abacus: not on this machine (expected one of " in done.stderr


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (litehrnet.runtimes.open, litehrnet.runtimes.native):
        monkeypatch.setattr(module, "native_module", lambda: None)
    say_once.cache_clear()


@pytest.mark.parametrize(("suffix", "runtime"), [(".safetensors", "numpy"), (".pth", "torch")])
def test_absent_engine_is_said_once_and_another_runtime_is_taken(
    absent: None, small_weights: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, suffix: str, runtime: str
) -> None:
    weights = tmp_path / f"small{suffix}"
    if suffix == ".pth":
        torch.save({"state_dict": load_file(small_weights)}, weights)
    else:
        weights = small_weights
    with caplog.at_level(logging.WARNING, logger="litehrnet"):
        for _ in range(2):
            assert open_runtime(weights, input_size_wh=(64, 64), threads=1).description.startswith(runtime)
    (record,) = caplog.records
    assert record.message.startswith("the native engine was not built")
    assert record.message.endswith(f"running on {runtime}, which is several times slower")


def test_unit_that_the_engine_does_not_know_runs_on_pytorch(
    small_weights: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delitem(units.STEPS, NAIVE)
    say_once.cache_clear()
    with caplog.at_level(logging.WARNING, logger="litehrnet"):
        assert open_runtime(small_weights, threads=1).description.startswith("torch")
    (record,) = caplog.records
    assert "the native engine does not support naive_lite_hrnet_18" in record.message
    assert record.message.endswith("running on torch")
    with pytest.raises(UnsupportedUnitError, match="does not support naive_lite_hrnet_18"):
        open_runtime(small_weights, "native")


def test_absent_engine_that_is_asked_for_is_an_error(absent: None, small_weights: Path, tmp_path: Path) -> None:
    export_native(small_weights, tmp_path / "small.native")
    for path, name in ((small_weights, "native"), (tmp_path / "small.native", None)):
        with pytest.raises(UserError, match="the native engine was not built"):
            open_runtime(path, name)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"precision": "int8"}, "int8: unknown precision"),
        ({"precision": "fp16"}, "precision fp16: native supports float32 and bf16"),
        ({"device": "cuda"}, "device cuda: native runs on the CPU only"),
        ({"compiled": True}, "torch.compile: does not work with native"),
        ({"runtime": "torch", "precision": "fp16"}, "precision fp16: only works on a GPU"),
        ({"runtime": "torch", "device": "abacus"}, "device abacus: PyTorch does not have it"),
        ({"runtime": "onnxruntime"}, "onnxruntime runs ONNX models"),
    ],
)
def test_settings_that_a_runtime_does_not_have_are_refused(
    small_weights: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message) as error:
        open_runtime(small_weights, **settings)
    assert "\n" not in str(error.value)


def test_bf16_is_near_or_refused(runtime: NativeRuntime, small_weights: Path, crops: NDArray[np.uint8]) -> None:
    native = native_module()
    assert native is not None
    if not native.has_bfloat16():
        with pytest.raises(UserError, match="has no bfloat16"):
            open_runtime(small_weights, precision="bf16")
        return
    lower = open_runtime(small_weights, threads=1, precision="bf16")
    expected, found = runtime.forward(crops), lower.forward(crops)
    assert "bf16" in lower.description
    difference = np.abs(found - expected).max() / np.abs(expected).max()
    assert 1e-4 < difference < 0.3  # untrained: larger than with trained weights


def test_bf16_without_the_instructions_is_refused(small_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITEHRNET_KERNELS", "baseline")
    with pytest.raises(UserError, match="precision bf16: baseline has no bfloat16"):
        open_runtime(small_weights, precision="bf16")


def test_pytorch_runs_in_bf16(runtime: NativeRuntime, small_weights: Path, crops: NDArray[np.uint8]) -> None:
    lower = open_runtime(small_weights, "torch", threads=1, precision="bf16")
    expected, found = runtime.forward(crops), lower.forward(crops)
    assert "bf16" in lower.description
    assert found.dtype == np.float32
    difference = np.abs(found - expected).max() / np.abs(expected).max()
    assert 1e-4 < difference < 0.3  # untrained: larger than with trained weights


@pytest.mark.slow
def test_pytorch_runs_compiled(runtime: NativeRuntime, small_weights: Path, crops: NDArray[np.uint8]) -> None:
    compiled = open_runtime(small_weights, "torch", threads=1, compiled=True)
    assert "compiled" in compiled.description
    expected = runtime.forward(crops)
    assert np.abs(compiled.forward(crops) - expected).max() <= 2e-5 * np.abs(expected).max()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("precision", ["float32", "bf16", "fp16"])
def test_pytorch_runs_on_a_gpu(
    runtime: NativeRuntime, small_weights: Path, crops: NDArray[np.uint8], precision: str
) -> None:
    found = open_runtime(small_weights, "torch", device="cuda", precision=precision).forward(crops)
    expected = runtime.forward(crops)
    assert np.abs(found - expected).max() / np.abs(expected).max() < 0.1


def test_heatmaps_of_real_photos_are_the_published_ones(shared: Path) -> None:
    folder = shared / "reference"
    with np.load(folder / "tinypose_photo_crops.npz") as arrays:
        crops, expected = arrays["crops"], arrays["heatmaps"]
    weights = folder / "tinypose_wider_naive_litehrnet_18_coco_256x192.pth"
    found = open_runtime(weights, threads=1).forward(crops)
    assert np.abs(found - expected).max() <= 2e-5 * np.abs(expected).max()
