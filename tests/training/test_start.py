"""How a run starts, what it says, and what stops it before its first step or in the middle."""

import json
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from litehrnet.config.schema import OptimizerConfig, RunConfig
from litehrnet.data.settings import DataConfig, EvalConfig
from litehrnet.errors import UserError
from litehrnet.models import create_network
from litehrnet.training.checkpoints import LATEST
from litehrnet.training.initial_weights import load_weights
from litehrnet.training.start import run_training
from litehrnet.training.task import TASKS


@pytest.fixture
def mpii_weights(tmp_path: Path) -> Path:
    """Weights of naive_lite_hrnet_18 with 16 keypoints."""
    path = tmp_path / "mpii.pth"
    torch.save({"state_dict": create_network("naive_lite_hrnet_18", 16).state_dict()}, path)
    return path


def test_load_from_takes_weights_and_says_that_another_head_starts_anew(mpii_weights: Path) -> None:
    network = create_network("naive_lite_hrnet_18", 17)
    head = {name: value.clone() for name, value in network.state_dict().items() if name.startswith("keypoint_head.")}
    said = load_weights(network, mpii_weights)
    assert said == (
        f"weights of {mpii_weights}, except 2 arrays that it lacks or has in another size: "
        "keypoint_head.final_layer.weight, keypoint_head.final_layer.bias"
    )
    loaded = torch.load(mpii_weights, weights_only=True)["state_dict"]
    for name, value in network.state_dict().items():
        assert torch.equal(value, head[name] if name in head else loaded[name]), name


@pytest.mark.parametrize("prefix", ["backbone.", ""])
@pytest.mark.parametrize("variant", ["mobilenetv2", "mobilenetv3", "shufflenetv2"])
def test_load_from_takes_the_backbone_of_a_classifier(
    variant: str, prefix: str, tmp_path: Path, user_error: Any
) -> None:
    path = tmp_path / "imagenet.pth"
    classifier = {
        name: torch.rand(value.shape).to(value.dtype)
        for name, value in create_network(variant).state_dict().items()
        if name.startswith("backbone.")
    }
    head = {"head.fc.weight": torch.rand(1000, 8), "head.fc.bias": torch.rand(1000)} if prefix else {}
    named = {prefix + name.removeprefix("backbone."): value for name, value in classifier.items()}
    torch.save({"meta": {}, "state_dict": named | head}, path)
    network = create_network(variant)
    own_head = {name: value.clone() for name, value in network.state_dict().items() if name not in classifier}
    said = load_weights(network, path)
    not_taken = "; not taken: head.fc.weight, head.fc.bias" if head else ""
    assert said == f"backbone of {path}: {len(classifier)} arrays{not_taken}; the head starts at random"
    for name, value in network.state_dict().items():
        assert torch.equal(value, (classifier | own_head)[name]), name
    other = create_network("lite_hrnet_18")
    assert "none of its weights fit lite_hrnet_18" in user_error(lambda: load_weights(other, path))


def test_load_from_names_arrays_of_a_backbone_in_another_size(tmp_path: Path) -> None:
    network = create_network("mobilenetv3")
    weights = network.state_dict()
    # As in MMClassification, whose first squeeze-excitation is wider.
    first, name, path = "backbone.conv1.conv.weight", "backbone.layer4.se.conv1.conv.weight", tmp_path / "v3.pth"
    torch.save({first: weights[first], name: torch.zeros(24, 72, 1, 1)}, path)
    missing = [n for n in weights if n.startswith("backbone.") and not n.endswith("num_batches_tracked") and n != first]
    assert load_weights(network, path) == (
        f"backbone of {path}: 1 arrays; not taken: {name}; {len(missing)} arrays of the backbone start at random: "
        f"{', '.join(missing[:4])}, ...; the head starts at random"
    )


@pytest.mark.parametrize("name", ["features.0.0.weight", "conv5.0.weight"])
def test_names_of_torchvision_are_refused(name: str, tmp_path: Path, user_error: Any) -> None:
    path = tmp_path / "mobilenet_v2.pth"
    torch.save({name: torch.zeros(32, 3, 3, 3), "classifier.1.weight": torch.zeros(1000, 8)}, path)
    assert user_error(lambda: load_weights(create_network("mobilenetv2"), path)) == (
        f"{path}: has torchvision's names of parameters (expected those of MMClassification or MMPose, such as "
        "backbone.conv1.conv.weight)"
    )


def test_load_from_starts_at_the_first_step_without_the_state_of_the_optimizer(
    runs: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    source = runs.whole() / "epoch_2.pth"
    capsys.readouterr()
    config = replace(runs.config("run", epochs=1), load_from=str(source))
    assert runs.run(config, stop_after=1) == 143
    assert f"start:         weights of {source}\n" in capsys.readouterr().out
    saved = torch.load(runs.folder / "run" / LATEST, weights_only=True)
    assert saved["meta"]["iter"] == 1
    assert saved["optimizer"]["state"][0]["step"] == 1


def test_resuming_wins_over_load_from(runs: Any, mpii_weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = runs.whole() / "epoch_1.pth"
    config = replace(runs.config("run", resume_from=source), load_from=str(mpii_weights))
    capsys.readouterr()
    assert runs.run(config) == 0
    assert f"start:         {source}, epoch 2, iteration 6\n" in capsys.readouterr().out


def test_weights_of_another_network_are_refused(tmp_path: Path, user_error: Any) -> None:
    path = tmp_path / "other.pth"
    torch.save({"backbone.other": torch.zeros(3)}, path)
    assert str(path) in user_error(lambda: load_weights(create_network("naive_lite_hrnet_18", 17), path))


def _with_data(config: RunConfig, annotations: Any, folder: Path) -> RunConfig:
    path = folder / "annotations.json"
    path.write_text(json.dumps(annotations))
    return replace(config, train=(replace(config.train[0], annotations=str(path)),))


def _bad_config(what: str, config: RunConfig, folder: Path) -> RunConfig:
    content = json.loads(Path(config.train[0].annotations).read_text())
    match what:
        case "missing photos":
            return replace(config, train=(replace(config.train[0], images=str(folder / "nowhere")),))
        case "keypoint count":
            for annotation in content["annotations"]:
                annotation["keypoints"] = annotation["keypoints"][:-3]
            return _with_data(config, content, folder)
        case "nobody":
            return _with_data(config, content | {"annotations": []}, folder)
        case "no data":
            return replace(config, train=())
        case "batch":
            return replace(config, training=replace(config.training, batch_size=4, accumulate=3))
        case "validation photos":
            test = EvalConfig("coco", config.train[0].annotations, str(folder / "nowhere"))
            return replace(config, validation=test)
        case "validation annotations":
            return replace(config, validation=EvalConfig("coco", str(folder / "gone.json"), config.train[0].images))
        case "best_by":
            test = EvalConfig("coco", config.train[0].annotations, config.train[0].images)
            return replace(config, validation=test, training=replace(config.training, best_by="APP"))
        case _:
            return replace(config, train=(DataConfig("coco", str(folder / "gone.json"), "photos"),))


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("missing photos", "(10 of the 10 photos of "),
        ("keypoint count", "keypoints"),
        ("nobody", "annotations.json: nobody to train on"),
        ("no data", "has no data to train on"),
        ("batch", "10 people do not fill a step of 12 samples"),
        ("validation photos", "(10 of the 10 photos of "),
        ("validation annotations", "gone.json: no such file"),
        ("best_by", "training.best_by is APP, not a value of mAP (expected AP, AP .5"),
        ("missing annotations", "gone.json: no such file"),
    ],
)
def test_what_cannot_be_trained_is_one_sentence_before_anything_is_written(
    runs: Any, what: str, message: str, tmp_path: Path, user_error: Any
) -> None:
    config = _bad_config(what, runs.config("run"), tmp_path)
    assert message in user_error(lambda: run_training(config, config))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("never", [0, -1])
def test_evaluations_may_be_switched_off(runs: Any, never: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert runs.run(runs.config("run", validate=True, evaluate_every=never)) == 0
    assert "evaluation:    none" in capsys.readouterr().out
    assert not list((runs.folder / "run").glob("best.*"))


def test_folder_that_cannot_be_made_is_one_sentence(runs: Any, user_error: Any) -> None:
    (runs.folder / "run").write_text("in the way")
    assert "run: the folder cannot be created" in user_error(lambda: runs.run(runs.config("run")))


def test_broken_best_score_is_one_sentence_before_the_first_step(runs: Any, user_error: Any) -> None:
    runs.run(runs.config("run", epochs=1))
    (runs.folder / "run" / "best.json").write_text("[]")
    config = runs.config("run", epochs=2, resume_from="latest")
    assert "best.json: has no best_score" in user_error(lambda: runs.run(config))


def test_loss_that_is_not_finite_names_the_samples_and_leaves_the_checkpoints(runs: Any, user_error: Any) -> None:
    runs.run(runs.config("run", epochs=1))
    folder = runs.folder / "run"
    contents = torch.load(folder / "epoch_1.pth", weights_only=True)
    contents["state_dict"]["keypoint_head.final_layer.bias"][3] = float("inf")
    torch.save(contents, runs.folder / "poisoned.pth")
    config = runs.config("run", snapshot_minutes=0.0, resume_from=runs.folder / "poisoned.pth")
    said = user_error(lambda: runs.run(config))
    assert said.startswith("the loss is inf in epoch 2, iteration 6 (")
    from litehrnet.training.distributed import Processes
    from litehrnet.training.loader import epoch_batches

    ids = epoch_batches(10, 2, 0, 1, Processes())[0].tolist()
    assert said.endswith(", ".join(f"{i} ({i + 1:012}.jpg)" for i in ids))
    assert (folder / LATEST).readlink() == Path("epoch_1.pth")


@pytest.mark.parametrize("stop_after", [1, None])
def test_weights_that_are_not_finite_are_not_saved(runs: Any, stop_after: int | None, user_error: Any) -> None:
    """A gradient may overflow though the loss is finite; the checkpoint before it is kept."""
    runs.run(runs.config("run", epochs=1))
    optimizer = OptimizerConfig(learning_rate=float("inf"))
    config = runs.config("run", optimizer=optimizer, snapshot_minutes=0.0, resume_from="latest")
    said = user_error(lambda: runs.run(config, stop_after=stop_after))
    assert "snapshot.pth: not written, since some weights are not finite after iteration 6" in said
    assert (runs.folder / "run" / LATEST).readlink() == Path("epoch_1.pth")


def test_random_numbers_of_the_caller_do_not_matter(runs: Any) -> None:
    whole = torch.load(runs.whole() / "epoch_2.pth", weights_only=True)["state_dict"]
    torch.manual_seed(77)
    np.random.seed(77)  # noqa: NPY002
    runs.run(runs.config("run"))
    again = torch.load(runs.folder / "run" / "epoch_2.pth", weights_only=True)["state_dict"]
    assert all(torch.equal(value, again[name]) for name, value in whole.items())


class _Fails:
    """Makes the samples of a set, but raises at its second batch."""

    def __init__(self, make_batch: Any) -> None:
        self.make_batch, self.made = make_batch, 0

    def __call__(self, *arguments: Any) -> Any:
        self.made += 1
        if self.made == 4:
            raise UserError("a.jpg: broken in the middle")
        return self.make_batch(*arguments)


def test_error_in_the_middle_leaves_a_checkpoint_of_that_step(
    runs: Any, monkeypatch: pytest.MonkeyPatch, user_error: Any
) -> None:
    whole = torch.load(runs.whole() / "epoch_2.pth", weights_only=True)["state_dict"]
    with monkeypatch.context() as patch:
        task = TASKS["keypoints"]

        def read(config: RunConfig) -> Any:
            samples = task.read(config)
            return replace(samples, make_batch=_Fails(samples.make_batch))

        patch.setitem(TASKS, "keypoints", replace(task, read=read))
        said = user_error(lambda: runs.run(runs.config("run")))
    latest = runs.folder / "run" / LATEST
    assert said == (
        "a.jpg: broken in the middle (training.skip_broken_photos=true trains on without it); saved after iteration 3: "
        f"resume with --resume-from {latest}"
    )
    assert torch.load(latest, weights_only=True)["meta"]["iter"] == 3
    assert runs.run(runs.config("run", resume_from="latest")) == 0
    again = torch.load(runs.folder / "run" / "epoch_2.pth", weights_only=True)["state_dict"]
    assert all(torch.equal(value, again[name]) for name, value in whole.items())


def test_broken_photos_are_left_out_and_counted(runs: Any, capsys: pytest.CaptureFixture[str], user_error: Any) -> None:
    config = runs.config("run", epochs=1, skip_broken_photos=True)
    photos = runs.folder / "photos"
    shutil.copytree(config.train[0].images, photos)
    config = replace(config, train=(replace(config.train[0], images=str(photos)),))
    first, second, *others = sorted(photos.iterdir())
    first.unlink()
    content = second.read_bytes()
    second.write_bytes(content[: len(content) // 2])
    assert runs.run(config) == 0
    said = capsys.readouterr().out
    assert "(2 of the 10 photos of " in said
    line = next(line for line in said.splitlines() if line.startswith("epoch 1 left out 2 broken photos: "))
    assert f"{first}: no such file" in line
    assert f"{second}: " in line
    for photo in (second, *others):
        photo.unlink()
    assert "(10 of the 10 photos of " in user_error(lambda: runs.run(config))


def test_evaluation_without_the_value_that_chooses_the_best_is_refused_before_the_first_step(
    runs: Any, user_error: Any
) -> None:
    config = runs.config("run", validate=True, best_by="AP (L)")
    content = json.loads(Path(config.validation.annotations).read_text())
    for annotation in content["annotations"]:
        annotation["area"] = 64.0 * 64
    path = runs.folder / "small.json"
    path.write_text(json.dumps(content))
    config = replace(config, validation=replace(config.validation, annotations=str(path)))
    assert "small.json: gives no AP (L), which training.best_by needs" in user_error(lambda: runs.run(config))
    assert not (runs.folder / "run").exists()


def test_pycocotools_that_cannot_be_imported_is_one_sentence_before_the_first_step(
    runs: Any, monkeypatch: pytest.MonkeyPatch, user_error: Any
) -> None:
    monkeypatch.setitem(sys.modules, "pycocotools.cocoeval", None)
    said = user_error(lambda: runs.run(runs.config("run", validate=True)))
    assert "cannot be evaluated (import of pycocotools.cocoeval halted" in said
    assert not (runs.folder / "run").exists()


def test_seed_matters(runs: Any) -> None:
    whole = torch.load(runs.whole() / "epoch_2.pth", weights_only=True)["state_dict"]
    runs.run(runs.config("run", seed=1))
    other = torch.load(runs.folder / "run" / "epoch_2.pth", weights_only=True)["state_dict"]
    assert not torch.equal(whole["backbone.stem.conv1.conv.weight"], other["backbone.stem.conv1.conv.weight"])


def test_restarted_processes_go_on_without_being_told(runs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert runs.run(runs.config("run"), stop_after=3) == 143  # nothing to go on from yet
    assert runs.run(runs.config("run")) == 0
    texts = [path.read_text() for path in (runs.folder / "run").glob("*.log.json")]
    lines = [json.loads(line) for text in texts for line in text.splitlines()]
    assert sorted(line["starts_after"] for line in lines if "starts_after" in line) == [[1, 0], [1, 3]]


def test_header_says_what_counts(runs: Any, capsys: pytest.CaptureFixture[str]) -> None:
    optimizer = replace(runs.base.training.optimizer, learning_rate=2.5e-4)
    config = runs.config("run", epochs=1, validate=True, accumulate=2, precision="bf16", optimizer=optimizer)
    assert runs.run(config, stop_after=0) == 143
    said = dict(line.split(":", 1) for line in capsys.readouterr().out.splitlines() if ":" in line)
    said = {name: text.strip() for name, text in said.items()}
    assert said["device"].startswith("cpu, 1 threads, PyTorch ")
    assert said["steps by"] == "PyTorch"  # the kernels are for float32
    assert said["precision"] == "bf16"
    assert said["processes"] == "1"
    assert said["batch"] == "4 samples per step (2 x 2 accumulated x 1 processes)"
    assert said["learning rate"] == "adam 0.00025, 0.25 of the recipe's 0.001, step schedule"
    assert said["evaluation"].startswith("every 1 epochs, boxes: ground truth (")
    assert "training.optimizer.learning_rate: 0.001 -> 0.00025" in said["changes"]


def test_logs_of_two_starts_within_a_second_are_both_kept(runs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "strftime", lambda *_: "20200101_000000")
    runs.run(runs.config("run"), stop_after=4)
    runs.run(runs.config("run", resume_from="latest"))
    (path,) = (runs.folder / "run").glob("*.log.json")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["epoch"], line["iter"]) for line in lines if "mode" in line] == [(1, 2), (1, 4), (2, 2), (2, 4)]


def test_signals_are_handled_as_before_after_a_run(runs: Any) -> None:
    import signal

    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    runs.run(runs.config("run"), stop_after=1)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_second_interrupt_stops_at_once(runs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import signal

    from litehrnet.training import loop

    def twice(*arguments: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("not reached")

    monkeypatch.setattr(loop, "optimizer_step", twice)
    config = runs.config("run")
    # Python's own handler is missing where the tests run in the background of a shell, which ignores the signal there.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_training(config, config)
    finally:
        signal.signal(signal.SIGINT, before)
    assert not (runs.folder / "run" / LATEST).exists()
