"""``tools/test.py``; on real photos it is run in tests/reference/test_published_protocol.py."""

import json
import os
import pickle
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from litehrnet.cli.main import run_command
from litehrnet.cli.mmpose import parse, run
from litehrnet.evaluation.predictions import Predictions, encode_outputs, raw_outputs


@pytest.fixture
def predictions() -> Predictions:
    rng = np.random.default_rng(0)
    return Predictions(
        image_files=[Path("val/000000000001.jpg"), Path("val/000000000002.jpg")],
        image_ids=np.array([1, 2]),
        box_ids=np.array([0, 1]),
        box_scores=np.array([0.5, 0.25]),
        centers=rng.uniform(0, 100, (2, 2)).astype(np.float32),
        scales=np.array([[0.75, 1], [1.5, 2]], np.float32),
        keypoints=rng.uniform(0, 100, (2, 17, 2)).astype(np.float32),
        scores=rng.random((2, 17), np.float32),
    )


def test_raw_outputs_have_the_published_layout(predictions: Predictions) -> None:
    first, second = raw_outputs(predictions)
    assert (first["preds"].shape, first["preds"].dtype) == ((1, 17, 3), np.float32)
    np.testing.assert_array_equal(second["preds"][0, :, :2], predictions.keypoints[1])
    np.testing.assert_array_equal(second["preds"][0, :, 2], predictions.scores[1])
    expected = [*predictions.centers[1], 1.5, 2, 300 * 400, 0.25]
    np.testing.assert_allclose(second["boxes"], [expected], rtol=1e-6)
    assert second["image_paths"] == ["val/000000000002.jpg"]
    assert second["bbox_ids"] == [1]
    assert second["output_heatmap"] is None


@pytest.mark.parametrize("suffix", [".json", ".yaml", ".yml", ".pkl", ".pickle"])
def test_raw_outputs_are_written_by_suffix(predictions: Predictions, suffix: str) -> None:
    content = encode_outputs(predictions, suffix)
    outputs = pickle.loads(content) if "p" in suffix else yaml.safe_load(content)
    if suffix == ".json":
        assert json.loads(content) == outputs
    assert isinstance(outputs[0]["preds"], np.ndarray if "p" in suffix else list)
    np.testing.assert_allclose(outputs[1]["preds"], raw_outputs(predictions)[1]["preds"], rtol=1e-6)


def test_unknown_format_is_refused_before_anything_is_run(capsys: pytest.CaptureFixture[str]) -> None:
    options = parse(["litehrnet_18_coco_256x192", "weights.pth", "--out", "raw.txt"])
    assert run_command(run, options) == 2
    assert "raw.txt: unknown format (expected .json, .yaml, .yml, .pkl, .pickle)" in capsys.readouterr().err


def test_missing_checkpoint_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(run, parse(["litehrnet_18_coco_256x192", "gone.pth"])) == 2
    error = capsys.readouterr().err
    assert "gone.pth: no such file" in error
    assert error.count("\n") == 1


def _metrics(said: str) -> dict[str, float | None]:
    return {
        name: None if value == "none" else float(value)
        for name, _, value in (line.partition(": ") for line in said.splitlines()[-10:])
    }


def test_published_configuration_is_tested_by(
    published: Path, small_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(run, parse([str(published), str(small_weights), "--eval", "mAP", "--out", "raw.pkl"])) == 0
    said = capsys.readouterr()
    assert "note: model.keypoint_head.in_channels is 40" in said.err
    assert list(_metrics(said.out))[:2] == ["AP", "AP .5"]
    results = json.loads(Path("work_dirs/birds/result_keypoints.json").read_text())
    assert {entry["image_id"] for entry in results} == {1, 2, 3}
    assert len(pickle.loads(Path("raw.pkl").read_bytes())) == 3


def test_folded_network_gives_the_same_metrics(
    published: Path, small_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [str(published), str(small_weights), "--out", "raw.json"]
    positions = []
    for more in ([], ["--fuse-conv-bn"]):
        assert run_command(run, parse([*command, *more])) == 0
        raw = json.loads(Path("raw.json").read_text())
        positions.append(np.array([entry["preds"][0] for entry in raw]))
    # Scores are the heatmaps' maxima, of size 1 here: other sums in float32, the same network.
    np.testing.assert_allclose(positions[0][..., 2], positions[1][..., 2], atol=1e-4)
    assert (positions[0] != positions[1]).any()


def test_exported_model_has_nothing_to_fold(
    published: Path, small_onnx: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(run, parse([str(published), str(small_onnx), "--fuse-conv-bn"])) == 0
    assert "note: --fuse-conv-bn: an exported model has no batch normalizations left" in capsys.readouterr().err


def test_overrides_reach_the_test(published: Path, small_onnx: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [str(published), str(small_onnx), "--cfg-options", "data.test.ann_file=gone.json"]
    assert run_command(run, parse(command)) == 2
    assert "gone.json: no such file" in capsys.readouterr().err


def test_flags_for_videos_are_accepted_and_said_to_do_nothing(
    published: Path, small_onnx: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [str(published), str(small_onnx), "--proc_per_gpu", "2", "--average_clips", "prob"]
    assert run_command(run, parse(command)) == 0
    said = capsys.readouterr().err
    assert "note: --proc_per_gpu: ignored for images" in said
    assert "note: --average_clips: ignored for images" in said


def test_metric_of_other_data_is_refused_before_anything_is_run(
    published: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(run, parse([str(published), "gone.pth", "--eval", "mAP", "PCKh"])) == 2
    assert "--eval PCKh: not a metric of annotations.json (expected mAP)" in capsys.readouterr().err


def test_flags_of_several_processes_are_accepted() -> None:
    options = parse(["a", "b", "--launcher", "slurm", "--local_rank", "1", "--gpu_collect", "--tmpdir", "parts"])
    assert (options.launcher, options.local_rank, options.gpu_collect) == ("slurm", 1, True)
    assert options.tmpdir == Path("parts")
    assert parse(["a", "b", "--local-rank", "3"]).local_rank == 3


def _free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "more"), [("dist_test.sh", ["--gpu_collect"]), ("dist_test.py", ["--tmpdir", "parts"])]
)
def test_two_processes_give_the_metrics_of_one(
    published: Path,
    small_weights: Path,
    project: Path,
    capsys: pytest.CaptureFixture[str],
    script: str,
    more: list[str],
) -> None:
    assert run_command(run, parse([str(published), str(small_weights)])) == 0
    alone = _metrics(capsys.readouterr().out)
    command = [str(project / "tools" / script), str(published), str(small_weights), "2", *more, "--out", "raw.json"]
    environment = {**os.environ, "PORT": _free_port(), "PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert _metrics(done.stdout) == pytest.approx(alone)
    assert len(json.loads(Path("raw.json").read_text())) == 3
