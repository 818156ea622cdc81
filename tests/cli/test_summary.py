"""``litehrnet summary`` and ``tools/summary_network.py``, as they are typed."""

import contextlib
import csv
import io
import json
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from litehrnet.cli.main import main
from litehrnet.models import create_network
from litehrnet.models.complexity import LayerCost, measure
from litehrnet.models.weights import save_network
from litehrnet.poses import KeypointSet
from litehrnet.published import PUBLISHED
from litehrnet.weights.weights_file import WeightsInfo

PARTS = [
    "stem",
    "transition0",
    "stage0 units",
    "stage0 fusion",
    "transition1",
    "stage1 units",
    "stage1 fusion",
    "transition2",
    "stage2 units",
    "stage2 fusion",
    "head_layer",
    "keypoint_head",
]


@dataclass(frozen=True)
class Written:
    """What one run with --json --full --out-file wrote: figures, page and sheet."""

    metrics: dict[str, Any]
    page: str
    sheet: list[dict[str, str]]
    files: list[str]


def _printed(*words: str, columns: int | None = None) -> str:
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as out:
        patch.delenv("COLUMNS", raising=False)
        if columns is not None:
            patch.setenv("COLUMNS", str(columns))
        assert main(["summary", *words]) == 0
    return out.getvalue()


def _metrics(*words: str) -> dict[str, Any]:
    metrics: dict[str, Any] = json.loads(_printed(*words, "--json"))
    return metrics


def _row(text: str, start: str) -> list[str]:
    """The words of the one line that begins with ``start``, after it."""
    (line,) = (line for line in text.splitlines() if line.startswith(f"{start} "))
    return line.removeprefix(start).split()


@pytest.fixture(scope="module")
def printed() -> str:
    return _printed("lite_hrnet_18")


@pytest.fixture(scope="module")
def printed_in_full() -> str:
    return _printed("lite_hrnet_18", "--full")


@pytest.fixture(scope="module")
def layers() -> tuple[LayerCost, ...]:
    return measure(create_network("wider_naive_lite_hrnet_18", 16), (256, 256)).layers


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    folder = tmp_path_factory.mktemp("summary")
    words = ("wider_naive_lite_hrnet_18", "--num-keypoints", "16", "--shape", "256", "--full")
    metrics = _metrics(*words, "--out-file", str(folder / "cost-1.0"))
    with (folder / "cost-1.0.csv").open(newline="") as file:
        sheet = list(csv.DictReader(file))
    return Written(metrics, (folder / "cost-1.0.html").read_text(), sheet, sorted(p.name for p in folder.iterdir()))


def test_named_totals_are_printed_rounded_and_exact(printed: str) -> None:
    flops = "FLOPs of the paper (multiply-adds + batch normalization + ReLU + pooling + upsampling)"
    assert _row(printed, flops) == ["205.2", "x", "2^20", "215,202,112"]
    assert _row(printed, "multiply-accumulates, each layer once") == ["198.6", "x", "10^6", "198,626,688"]
    executed = "multiply-accumulates as executed by the reference implementation"
    assert _row(printed, executed) == ["242.3", "x", "10^6", "242,345,088"]
    assert _row(printed, "parameters") == ["1.13", "x", "10^6", "1,130,769"]


def test_parts_of_the_network_have_one_row_each(printed: str) -> None:
    lines = [line for line in printed.splitlines() if line.startswith(tuple(f"{part} " for part in PARTS))]
    assert [line.split("  ")[0].strip() for line in lines] == PARTS
    assert _row(printed, "stage1 fusion")[:6] == ["40x64x48", "-", "160x16x12", "40x64x48", "-", "160x16x12"]
    assert _row(printed, "stem") == ["3x256x192", "32x64x48", "2,864", "20.6", "12.0", "11.8"]
    assert _row(printed, "transition0")[4] == "4,784"
    assert _row(printed, "head_layer")[4] == "76,040"


def test_kinds_of_layers_are_totalled(printed: str) -> None:
    assert _row(printed, "Conv2d")[:4] == ["301", "189.5", "1,098,369", "198.6"]
    assert _row(printed, "BatchNorm2d")[:4] == ["204", "12.2", "32,400", "0.0"]


@pytest.mark.parametrize("columns", [80, 100])
def test_tables_fit_the_terminal_and_nothing_is_cut(columns: int) -> None:
    text = _printed("lite_hrnet_18", "--shape", "2048", "1024", columns=columns)
    assert max(map(len, text.splitlines())) <= columns
    for whole in ("keypoint_head", "3x2048x1024", "160x128x64", "1,130,769", "8,470.3", "10,335,657,088"):
        assert whole in text


def test_full_prints_every_layer_in_one_line(printed_in_full: str) -> None:
    names = [layer.name for layer in measure(create_network("lite_hrnet_18"), (192, 256)).layers]
    lines = [line for line in printed_in_full.splitlines() if line.startswith(("backbone.", "keypoint_head."))]
    assert [line.split()[0] for line in lines] == names
    shapes = ["Conv2d", "3x256x192", "32x128x96"]
    costs = ["864", "10,616,832", "10,616,832", "593,280", "1,572,864"]
    assert _row(printed_in_full, "backbone.stem.conv1.conv") == shapes + costs


def test_json_is_one_object_with_the_exact_metrics() -> None:
    metrics = _metrics("naive_lite_hrnet_18", "--num-keypoints", "16", "--shape", "256")
    assert (metrics["input_height"], metrics["input_width"], metrics["num_keypoints"]) == (256, 256, 16)
    assert (metrics["params"], metrics["published_flops"]) == (760334, 272162560)
    assert (metrics["macs"], metrics["macs_as_published"]) == (247234304, 281275904)
    assert metrics["kinds"]["Conv2d"]["layers"] == 269
    assert round(metrics["published_flops_mebi"], 1) == 259.6
    assert metrics["remark"] == "Published for this network and size: 0.7M parameters, 259.6M FLOPs."
    assert "layers" not in metrics


def test_json_holds_all_layers_where_asked_for(written: Written) -> None:
    rows = written.metrics["layers"]
    for total in ("params", "published_flops", "macs", "memory_read_bytes", "memory_written_bytes"):
        assert sum(row[total] for row in rows) == written.metrics[total]


def test_shape_is_height_then_width() -> None:
    metrics = _metrics("lite_hrnet_18", "--shape", "384", "288")
    assert (metrics["input_height"], metrics["input_width"]) == (384, 288)
    assert metrics["published_flops"] == 483984112


def test_the_misprint_is_explained_where_it_occurs(written: Written) -> None:
    assert round(written.metrics["published_flops_mebi"], 1) == 414.6
    assert "418.7 is a misprint" in written.metrics["remark"]
    assert "418.7 is a misprint" in " ".join(written.page.split())
    assert "misprint" not in _metrics("wider_naive_lite_hrnet_18", "--shape", "256", "192")["remark"]
    assert _metrics("lite_hrnet_18", "--shape", "64")["remark"] is None
    assert _metrics("lite_hrnet_18", "--num-classes", "3")["remark"] is None


MISPRINTED = "wider_naive_lite_hrnet_18"  # test_the_misprint_is_explained_where_it_occurs has it
MPII_ROWS = [(k[0], v) for k, v in PUBLISHED.items() if k[1] == (256, 256) and k[0] != MISPRINTED]


@pytest.mark.parametrize(("variant", "published"), MPII_ROWS)
def test_published_metrics_are_met_to_the_printed_digit_rounded_or_cut(
    variant: str, published: tuple[str, str]
) -> None:
    metrics = _metrics(variant, "--num-keypoints", "16", "--shape", "256")
    assert "{} parameters, {} FLOPs".format(*published) in metrics["remark"]
    units = {"M": 10**6}, {"M": 2**20, "G": 2**30}
    for text, count, unit in zip(published, (metrics["params"], metrics["published_flops"]), units, strict=True):
        digits = len(text.split(".")[1]) - 1
        value = count / unit[text[-1]] * 10**digits
        assert round(float(text[:-1]) * 10**digits) in (int(value), round(value))


def test_a_recipe_brings_its_network_and_size() -> None:
    metrics = _metrics("litehrnet_30_mpii_256x256")
    assert (metrics["variant"], metrics["num_keypoints"], metrics["input_width"]) == ("lite_hrnet_30", 16, 256)
    assert round(metrics["published_flops_mebi"], 1) == 425.3


def test_weights_bring_their_network_and_size(tmp_path: Path) -> None:
    three = KeypointSet("three", ("a", "b", "c"), (), (), (0.1, 0.1, 0.1))
    path = tmp_path / "three.safetensors"
    save_network(path, create_network("lite_hrnet_18", 3), WeightsInfo("lite_hrnet_18", three, (96, 128)))
    metrics = _metrics(str(path))
    assert (metrics["num_keypoints"], metrics["input_height"], metrics["input_width"]) == (3, 128, 96)
    assert metrics["params"] == 1130769 - 14 * 41


def test_csv_has_one_row_per_layer_with_all_columns(written: Written, layers: tuple[LayerCost, ...]) -> None:
    assert [row["name"] for row in written.sheet] == [layer.name for layer in layers]
    assert list(written.sheet[0]) == list(vars(layers[0]))
    for column in ("params", "published_flops", "macs", "executions", "memory_read_bytes", "memory_written_bytes"):
        assert [int(row[column]) for row in written.sheet] == [getattr(layer, column) for layer in layers]
    assert written.sheet[0]["input_shape"] == "3x256x256"


def test_html_holds_every_layer_and_all_totals(written: Written, layers: tuple[LayerCost, ...]) -> None:
    for layer in layers:
        assert f"{layer.name} " in written.page
    for total in ("434,716,160", "402,945,024", "461,236,224", "1,318,584"):
        assert total in written.page


def test_only_the_two_files_are_written_under_the_whole_stem(written: Written) -> None:
    assert written.files == ["cost-1.0.csv", "cost-1.0.html"]


def test_bad_input_is_explained_in_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    refused = {
        ("lite_hrnet_18", "--shape", "100", "192"): "input size 192x100",
        ("lite_hrnet_18", "--shape", "32", "32", "32"): "one number for a square",
        ("lite_hrnet_18", "--shape", "3200000000"): "too large (expected up to 100,000 pixels per side)",
        ("lite_hrnet_19",): "did you mean lite_hrnet_18?",
        ("lite_hrnet_18", "--num-keypoints", "0"): "at least 1",
        ("litehrnet_30_mpii_256x256", "--num-keypoints", "3"): "only with a variant",
        (str(tmp_path / "none.pth"),): "no such file",
        ("lite_hrnet_18", "--out-file", str(tmp_path / "none" / "cost")): "cannot be written",
    }
    for words, reason in refused.items():
        assert main(["summary", *words]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.count("\n") == 1
        assert reason in captured.err


def _run_tool(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    # -S leaves out what is installed by .pth files, such as this checkout; what it needs comes by PYTHONPATH.
    tool = [sys.executable, "-S", str(project / "tools" / "summary_network.py"), *words]
    environment = {"PYTHONPATH": sysconfig.get_path("purelib")}
    return subprocess.run(tool, capture_output=True, text=True, env=environment, encoding="utf-8")


def test_the_published_command_line_runs_from_a_checkout(project: Path, tmp_path: Path) -> None:
    config = project / "configs/top_down/lite_hrnet/coco/litehrnet_18_coco_256x192.py"
    done = _run_tool(project, str(config), "--out-file", str(tmp_path / "cost"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "one image of 2048 x 1024 (height x width)" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cost.csv", "cost.html"]


def test_the_published_command_line_explains_a_wrong_size(project: Path) -> None:
    done = _run_tool(project, "lite_hrnet_18", "--shape", "100")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: input size 100x100")
    assert done.stderr.count("\n") == 1


def test_published_configuration_is_summarised(published: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["summary", str(published), "--json"]) == 0
    metrics = json.loads(capsys.readouterr().out)
    assert (metrics["variant"], metrics["num_keypoints"]) == ("naive_lite_hrnet_18", 17)
    assert (metrics["input_width"], metrics["input_height"]) == (64, 64)
