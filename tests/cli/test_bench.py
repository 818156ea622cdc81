"""``litehrnet bench`` run for real on a small network; no assertion on how long anything takes."""

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from litehrnet.bench import subject
from litehrnet.bench.contenders import Contender, open_contenders
from litehrnet.cli.main import main
from litehrnet.engine import _native

QUICK = ["--batch", "1", "2", "--threads", "1", "--seconds", "0.05", "--rounds", "2"]
PEERS = ["onnxruntime", "openvino", "torch"]


@pytest.fixture(scope="module")
def said(
    small_weights: Path, small_onnx: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, dict[str, Any], Path]:
    """What a run prints, its JSON and its picture; exporting is left out, as ``small_onnx`` is there already."""
    folder = tmp_path_factory.mktemp("bench")
    words = ["bench", str(small_weights), *QUICK, "--profile"]
    words += ["--json", str(folder / "b.json"), "--plot", str(folder / "b.png")]
    graphs = {"our export": small_onnx, "reference graph": small_onnx}
    printed, threads = io.StringIO(), torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setattr(subject, "export_graphs", lambda *_: (graphs, ""))
        assert main(words) == 0
    torch.set_num_threads(threads)
    return printed.getvalue(), json.loads((folder / "b.json").read_text()), folder / "b.png"


def test_every_runtime_is_measured_and_right(said: tuple[str, dict[str, Any], Path]) -> None:
    (result,) = said[1]["results"]
    assert [(case["batch"], case["threads"]) for case in result["cases"]] == [(1, 1), (2, 1)]
    for case in result["cases"]:
        assert case["absent"] == {}
        singles = [f"{name}, single images" for name in PEERS] if case["batch"] > 1 else []
        ours = ["native", "native, bf16"] if _native.has_bfloat16() else ["native"]
        assert sorted(case["contenders"]) == sorted([*ours, *PEERS, *singles])
        for name, contender in case["contenders"].items():
            assert contender["rounds"] >= 2
            assert 0 <= contender["error"] < (0.1 if "bf16" in name else 1e-5)
            assert contender["cpu_ms"][0] >= contender["cpu_ms"][1] > 0
            assert contender["cpu_ratio"] > 0
        assert case["contenders"]["native"]["cpu_ratio"] == 1
    assert set(result["graphs"]) == set(PEERS[:2])


def test_floor_profile_memory_and_pipeline_are_in_the_json(said: tuple[str, dict[str, Any], Path]) -> None:
    (result,) = said[1]["results"]
    floor, pipeline = result["floor"], result["pipeline"]
    assert floor["ratio"] == pytest.approx(floor["cpu_ms"][1] / floor["floor_ms"])
    assert sum(cost["steps"] for cost in floor["profile"]) == 267
    assert sum(cost["macs"] for cost in floor["profile"]) == floor["macs"]
    assert set(result["memory"]) == {"native", *PEERS}
    assert all(isinstance(growth, int) and growth > 0 for growth in result["memory"].values())
    assert set(pipeline["part_ms"]) == {"JPEG decoding", "crop", "network", "heatmap decoding"}
    assert 0 < pipeline["network_share"] < 1
    assert pipeline["persons_per_second"] > 0


@pytest.mark.slow
def test_several_threads_give_the_same_heatmaps(small_weights: Path, small_onnx: Path, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subject, "export_graphs", lambda *_: ({"our export": small_onnx}, ""))
        made = subject.make_subject(str(small_weights), None, tmp_path)
    threads = torch.get_num_threads()
    for contender in open_contenders(made, 5, 2, dict.fromkeys(PEERS[:2], "our export")):
        assert isinstance(contender, Contender)
        assert made.error(contender.run()) < (0.1 if "bf16" in contender.name else 1e-5)
    torch.set_num_threads(threads)


def test_tables_name_settings_machine_and_reference(said: tuple[str, dict[str, Any], Path]) -> None:
    for text in ("CPU threads", "all optimizations, static shape", "latency mode", "float64", "GMAC/s", "stem"):
        assert text in said[0]
    assert said[2].read_bytes().startswith(b"\x89PNG")


def test_base_install_measures_ours_and_says_what_is_absent() -> None:
    hidden = ["torch", "onnx", "onnxscript", "openvino"]
    words = ["bench", "naive_lite_hrnet_18", "--input-size", "64", "64", *QUICK]
    code = f"import sys; sys.modules.update(dict.fromkeys({hidden})); from litehrnet.cli.main import main; "
    done = subprocess.run([sys.executable, "-c", f"{code}sys.exit(main({words}))"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "native: native" in done.stdout
    assert "onnxruntime: absent: needs an ONNX model, and the export needs torch" in done.stdout
    assert "openvino: absent: not installed (pip install 'litehrnet[openvino]')" in done.stdout
    assert "torch: absent: not installed" in done.stdout
    assert "the program in NumPy, float64" in done.stdout


@pytest.mark.parametrize(
    "words",
    [
        ["no_such_network"],
        ["gone.safetensors"],
        ["lite_hrnet_18", "--input-size", "9", "9"],
        ["lite_hrnet_18", "--photos", "gone"],
        ["lite_hrnet_18", "--plot", "picture.txt"],
    ],
)
def test_what_cannot_be_measured_is_one_line(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert main(["bench", *words]) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(said) == 1


def test_peaks_are_rates_of_a_computer() -> None:
    assert 1e8 < _native.peak_macs() < 1e12
    for size in (256, 1 << 14, 1 << 20):
        assert 1e7 < _native.peak_reading(size) < 1e14
    for size in (0, -1, 1 << 33):
        with pytest.raises(ValueError, match="256 to"):
            _native.peak_reading(size)
