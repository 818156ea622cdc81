"""Every command on a recipe, and on weights, of a network that segments drawn scenes."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tests.drawn_scenes import LABEL_IDS, write_scenes

from litehrnet.bench import subject
from litehrnet.bench.subject import write_random_weights
from litehrnet.cli import mmpose
from litehrnet.cli.main import main, run_command
from litehrnet.data.label_images import LabeledImage, read_classes
from litehrnet.drawing.class_maps import draw_segmentation
from litehrnet.errors import UserError
from litehrnet.inference.estimator import PoseEstimator
from litehrnet.inference.segmenter import open_segmenter
from litehrnet.io.images import read_image
from litehrnet.segmentation.classes import find_class_set
from litehrnet.segmentation.confusion import confusion_matrix, segmentation_metrics
from litehrnet.variants import find_variant
from litehrnet.weights.weights_file import read_weights

RECIPE = """
variant = "naive_lite_hrnet_18"
input_size_wh = (64, 32)
segmentation = dict(classes="{folder}/classes.json")
train = (dict(format="folder", images="{folder}/images", annotations="{folder}/labels"),)
training = dict(
    epochs=2,
    batch_size=2,
    workers=0,
    optimizer=dict(kind="sgd", learning_rate=0.01, weight_decay=5e-4),
    schedule=dict(kind="poly", warmup_iterations=0),
    loss=dict(kind="ohem"),
    evaluate_every=1,
    save_every=1,
)
validation = dict(format="folder", images="{folder}/images", annotations="{folder}/labels", flip=False)
work_dir = "{folder}/run"
"""

CLASSIFIER = "segmentation_head.classifier.weight"


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four scenes of 96x96 and ``recipe.py``, which trains and tests on them."""
    folder = write_scenes(tmp_path_factory.mktemp("scenes"), 4, side=96)
    (folder / "recipe.py").write_text(RECIPE.format(folder=folder))
    return folder


@pytest.fixture(scope="module")
def weights(scenes: Path) -> Path:
    path = scenes / "weights.safetensors"
    classes = find_class_set(str(scenes / "classes.json"))
    write_random_weights(path, find_variant("naive_lite_hrnet_18"), (64, 32), classes)
    return path


@pytest.fixture(scope="module")
def trained(scenes: Path) -> Path:
    """The folder of the recipe's run."""
    torch.manual_seed(0)
    assert main(["train", str(scenes / "recipe.py")]) == 0
    return scenes / "run"


def test_training_goes_on_from_a_checkpoint_as_if_it_had_not_stopped(scenes: Path, trained: Path) -> None:
    again = [f"--work-dir={scenes / 'again'}", f"--resume-from={trained / 'epoch_1.pth'}"]
    assert main(["train", str(scenes / "recipe.py"), *again]) == 0
    whole, resumed = (read_weights(folder / "last.safetensors")[0] for folder in (trained, scenes / "again"))
    for name, array in whole.items():
        np.testing.assert_array_equal(resumed[name], array)


def test_training_logs_and_keeps_the_best_by_miou(trained: Path) -> None:
    lines = [json.loads(line) for line in next(trained.glob("*.log.json")).read_text().splitlines()]
    trained_lines = [line for line in lines if line.get("mode") == "train"]
    assert {"ohem_loss", "acc_seg", "loss", "lr"} <= trained_lines[0].keys()
    evaluated = [line for line in lines if line.get("mode") == "val"]
    assert [line["epoch"] for line in evaluated] == [1, 2]
    assert json.loads((trained / "best.json").read_text())["key_indicator"] == "mIoU"
    _, info = read_weights(trained / "best.safetensors")
    assert info.class_set.class_names == ("background", "disc", "square", "triangle")
    assert info.class_set.label_ids == LABEL_IDS
    assert (trained / "curves.png").is_file()


def test_training_starts_from_a_pose_network(
    scenes: Path, small_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [f"load_from={small_weights}", "training.epochs=1", "validation=none", f"work_dir={scenes / 'from_pose'}"]
    assert main(["train", str(scenes / "recipe.py"), *words]) == 0
    said = capsys.readouterr().out
    assert "except 2 arrays that it lacks or has in another size: segmentation_head.classifier.weight" in said


def test_the_metrics_of_a_test_are_those_of_its_predictions(
    scenes: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = ["--annotations", str(scenes / "labels"), "--images", str(scenes / "images")]
    assert main(["test", str(weights), *folders, "--out", str(tmp_path / "out"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    classes = find_class_set(str(scenes / "classes.json"))
    matrix = np.zeros((4, 4), np.int64)
    for truth in sorted((scenes / "labels").glob("*.png")):
        pair = [read_classes(LabeledImage(p, p), classes) for p in (truth, tmp_path / "out" / truth.name)]
        matrix += confusion_matrix(pair[0], pair[1], 4)
    assert said == segmentation_metrics(matrix, classes.class_names)


@pytest.mark.parametrize("way", [[], ["test.window=true"], ["test.flip=true", "test.scales=1,0.5"]])
def test_a_recipe_says_how_images_are_cut(
    scenes: Path, weights: Path, capsys: pytest.CaptureFixture[str], way: list[str]
) -> None:
    test = f"test.format=folder test.images={scenes}/images test.annotations={scenes}/labels test.flip=false".split()
    assert main(["test", str(weights), "--config", str(scenes / "recipe.py"), "--cfg-options", *test, *way]) == 0
    said = capsys.readouterr().out
    assert "mIoU" in said
    assert "triangle" in said
    expected = {0: "whole images", 1: "windows", 2: "whole images, scale 1, scale 0.5, flip"}[len(way)]
    assert f"4 images, {expected}\n" in said


def test_predicting_draws_a_legend_and_writes_label_ids(scenes: Path, weights: Path, tmp_path: Path) -> None:
    photo = scenes / "images" / "002.png"
    assert main(["predict", str(photo), "--weights", str(weights), "--out-dir", str(tmp_path)]) == 0
    segmenter = open_segmenter(weights)
    classes = segmenter.segment(read_image(photo))
    labels = cv2.imread(str(tmp_path / "labels" / "002.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(labels, np.array(LABEL_IDS, np.uint8)[classes])
    drawn = draw_segmentation(read_image(photo), classes, segmenter.class_set)
    np.testing.assert_array_equal(read_image(tmp_path / "002.png"), drawn)


@pytest.mark.parametrize("target", ["recipe.py", "weights.safetensors"])
def test_summary_takes_recipes_and_weights(
    scenes: Path, weights: Path, capsys: pytest.CaptureFixture[str], target: str
) -> None:
    assert main(["summary", str(scenes / target), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["num_classes"], said["input_width"], said["input_height"]) == (4, 64, 32)


def test_a_program_segments_as_its_weights_do(scenes: Path, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "scenes.native"
    assert main(["export", str(weights), "--format", "native", "--out", str(out)]) == 0
    image = np.random.default_rng(0).integers(0, 256, (32, 64, 3), dtype=np.uint8)
    np.testing.assert_array_equal(open_segmenter(out).segment(image), open_segmenter(weights).segment(image))


def test_converting_keeps_the_names_of_the_classes(scenes: Path, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "half.safetensors"
    assert main(["convert", str(weights), str(out), "--half", "--input-size", "96", "64"]) == 0
    (arrays, info), (whole, before) = read_weights(out), read_weights(weights)
    assert info.class_set == before.class_set
    assert info.input_size_wh == (96, 64)
    np.testing.assert_array_equal(arrays[CLASSIFIER], whole[CLASSIFIER].astype(np.float16))


def test_converting_a_checkpoint_names_its_classes(
    scenes: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint, out = trained / "epoch_2.pth", tmp_path / "named.safetensors"
    assert main(["convert", str(checkpoint), str(out), "--classes", str(scenes / "classes.json")]) == 0
    assert "naive_lite_hrnet_18, 4 classes (shapes)\n  input size: any\n" in capsys.readouterr().out
    named, trained_ones = read_weights(out), read_weights(trained / "last.safetensors")
    assert named[1].class_set == trained_ones[1].class_set
    np.testing.assert_array_equal(named[0][CLASSIFIER], trained_ones[0][CLASSIFIER])
    photo = read_image(scenes / "images" / "000.png")
    expected = open_segmenter(trained / "last.safetensors").segment(photo)
    np.testing.assert_array_equal(open_segmenter(out).segment(photo), expected)


def test_the_published_command_line_tests_as_ours_does(
    scenes: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint, recipe = trained / "epoch_2.pth", str(scenes / "recipe.py")
    assert main(["test", str(checkpoint), "--config", recipe, "--out", str(tmp_path / "ours"), "--json"]) == 0
    expected = json.loads(capsys.readouterr().out)
    command = [recipe, str(checkpoint), "--eval", "mIoU", "--out", str(tmp_path / "published")]
    assert run_command(mmpose.run, mmpose.parse(command)) == 0
    first, *said = capsys.readouterr().out.splitlines()
    assert first.endswith("; whole images")
    assert {name: float(value) for name, value in (line.split(": ") for line in said)} == pytest.approx(expected)
    for own in sorted((tmp_path / "ours").iterdir()):
        ours, published = (cv2.imread(str(path), -1) for path in (own, tmp_path / "published" / own.name))
        assert np.mean(ours != published) < 1e-3  # the engine's rounding against PyTorch's


@pytest.mark.slow
def test_two_processes_segment_each_image_once(
    scenes: Path, weights: Path, tmp_path: Path, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three images for two processes: none twice, none left out."""
    three = write_scenes(tmp_path / "three", 3, side=96, first=20)
    changes = ["--cfg-options", f"validation.images={three}/images", f"validation.annotations={three}/labels"]
    command = [str(scenes / "recipe.py"), str(weights), "--fuse-conv-bn", *changes]
    assert run_command(mmpose.run, mmpose.parse(command)) == 0
    alone = capsys.readouterr().out.splitlines()[1:]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    environment = {**os.environ, "PORT": port, "PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    script = [str(project / "tools" / "dist_test.sh"), *command[:2], "2", "--out", str(tmp_path / "out"), *command[2:]]
    done = subprocess.run(script, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-len(alone) :] == alone
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["020.png", "021.png", "022.png"]


@pytest.mark.slow
def test_two_processes_train_and_find_the_metrics_of_one(
    scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, run = str(scenes / "recipe.py"), tmp_path / "run"
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    settings = ["training.batch_size=1", "training.sync_batch_norm=true", "training.epochs=1"]
    train = ["litehrnet", "train", recipe, "--launcher", "pytorch", "--work-dir", str(run), *settings]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*launcher, *train], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in next(run.glob("*.log.json")).read_text().splitlines()]
    (evaluated,) = [line for line in lines if line.get("mode") == "val"]
    test = ["test", str(run / "last.safetensors"), "--config", recipe, "--runtime", "torch", "--json"]
    assert main(test) == 0
    assert evaluated["mIoU"] == pytest.approx(json.loads(capsys.readouterr().out)["mIoU"], abs=1e-4)


@pytest.fixture(scope="module")
def exported(weights: Path) -> Path:
    """An ONNX model of the weights, for images of 64x32."""
    out = weights.with_suffix(".onnx")
    assert main(["export", str(weights), "--out", str(out)]) == 0
    return out


@pytest.mark.slow
def test_an_exported_model_segments_as_its_weights_do(scenes: Path, weights: Path, exported: Path) -> None:
    photo = read_image(scenes / "images" / "000.png")  # larger than the model's images: in windows
    segmenter = open_segmenter(exported, window=True)
    assert segmenter.class_set == find_class_set(str(scenes / "classes.json"))
    differing = segmenter.segment(photo) != open_segmenter(weights, window=True).segment(photo)
    assert differing.mean() < 1e-3


@pytest.mark.slow
def test_bench_measures_every_runtime_on_a_recipe(
    scenes: Path, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On its random weights, which are those of ``exported`` too: exporting takes long."""
    monkeypatch.setattr(subject, "export_graphs", lambda *_: ({"our export": exported}, ""))
    words = ["--batch", "1", "--threads", "1", "--seconds", "0.05", "--rounds", "2", "--json", str(tmp_path / "b.json")]
    threads = torch.get_num_threads()
    assert main(["bench", str(scenes / "recipe.py"), *words]) == 0
    torch.set_num_threads(threads)
    (result,) = json.loads((tmp_path / "b.json").read_text())["results"]
    (case,) = result["cases"]
    assert case["absent"] == {}
    assert {"native", "onnxruntime", "openvino", "torch"} <= case["contenders"].keys()
    assert {"native", "onnxruntime", "openvino", "torch"} == result["memory"].keys()
    assert all(engine["error"] < (0.1 if "bf16" in name else 1e-5) for name, engine in case["contenders"].items())


def test_a_pose_estimator_refuses_a_network_that_segments_at_once(weights: Path) -> None:
    with pytest.raises(UserError, match="these weights segment images into 4 classes"):
        PoseEstimator(weights)


def test_data_check_decodes_everything_and_draws_samples(
    scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = tmp_path / "sheet.png"
    assert main(["data", "check", str(scenes / "recipe.py"), "--sheet", str(sheet)]) == 0
    assert read_image(sheet).shape == (2 * 32, 3 * 64, 3)
    broken = write_scenes(tmp_path / "broken", 3, side=64)
    cv2.imwrite(str(broken / "labels" / "001.png"), np.full((64, 64), 77, np.uint8))
    words = [f"train.0.images={broken}/images", f"train.0.annotations={broken}/labels"]
    assert main(["data", "check", str(scenes / "recipe.py"), *words, "--sheet", str(sheet)]) == 1
    assert "001.png: class ids 77, which shapes does not have" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "{recipe}", "keypoints=coco"], "names keypoints and segmentation (expected one of"),
        (["train", "{recipe}", "training.loss.kind=mse"], "training.loss.kind is mse, not a loss for segmentation"),
        (["train", "{recipe}", "train.0.only=a.json", "codec.kind=udp"], "codec, train.0.only: not for segmentation"),
        (["train", "litehrnet_18_coco_256x192", "validation.window=true"], "validation.window: not for keypoints"),
        (["train", "{recipe}", "distill.teacher=lite_hrnet_18"], "distill: not for segmentation"),
        (["train", "{recipe}", "train.0.format=coco"], "train.0.format is coco, not a format for segmentation"),
        (["train", "{recipe}", "training.loss.class_weights=1,2"], "class_weights has 2 values (expected 4"),
        (["train", "litehrnet_18_coco_256x192", "training.loss.kind=ohem"], "not a loss for keypoints"),
        (["predict", "{photo}", "--weights", "{weights}", "--out-dir", "o", "--boxes", "b.json"], "--boxes: does not"),
        (["test", "{weights}", "--config", "litehrnet_18_cityscapes_512x1024"], "weights of naive_lite_hrnet_18"),
        (["test", "{weights}", "--config", "{recipe}", "--per-keypoint"], "--per-keypoint: does not work with weights"),
        (
            ["convert", "{weights}", "o.safetensors", "--codec", "udp"],
            "--codec: does not work with weights for segmentation",
        ),
        (["convert", "{weights}", "o.safetensors", "--classes", "cityscapes"], "has 4 classes (expected 19"),
        (["convert", "lite_hrnet_18", "o.safetensors", "--classes", "cityscapes"], "--classes: only works with"),
        (["data", "pack", "{recipe}", "--out", "o"], "recipe: data for segmentation is not packed"),
        (
            ["predict", "http://camera.local/film.mp4", "--weights", "{weights}", "--out-dir", "o"],
            "film.mp4: a video, and {weights} only segments",
        ),
        (["predict", "{photo}", "--weights", "{weights}", "--out-dir", "o", "--track"], "--track: only works with"),
        (["predict", "{photo}", "--out-dir", "o", "--window"], "--window: only works"),
    ],
)
def test_what_does_not_belong_together_is_one_sentence(
    scenes: Path, weights: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    places = {"recipe": scenes / "recipe.py", "weights": weights, "photo": scenes / "images" / "000.png"}
    assert main([word.format(**places) for word in words]) == 2
    error = capsys.readouterr().err
    assert said.format(**places) in error
    assert error.count("\n") == 1


def test_the_published_command_line_refuses_in_one_sentence(
    scenes: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [str(scenes / "recipe.py"), str(weights)]
    for more, said in (
        (["--eval", "mAP"], f"--eval mAP: not a metric of {scenes}/labels (expected mIoU)"),
        (["--out", "raw.pkl"], "raw.pkl: not a folder (expected one for label images"),
    ):
        assert run_command(mmpose.run, mmpose.parse([*command, *more])) == 2
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1
