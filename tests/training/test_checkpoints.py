"""The files of a run: their layout (docs/spec/protocol.md, section 5.6), and what a failing disk leaves of them."""

import errno
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from litehrnet.cli.main import main
from litehrnet.errors import UserError
from litehrnet.io.files import replacing
from litehrnet.models.weights import load_network
from litehrnet.training.checkpoints import LATEST, SNAPSHOT, newest_checkpoint, save_checkpoint, set_aside


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run's folder with the checkpoint of epoch 1."""
    save_checkpoint(tmp_path, "epoch_1.pth", _checkpoint(1))
    return tmp_path


def _checkpoint(number: int) -> dict[str, Any]:
    return {"meta": {"epoch": number}, "state_dict": {"weight": torch.full((1000,), float(number))}}


def _load(path: Path) -> int:
    """Number of a whole checkpoint."""
    contents = torch.load(path, weights_only=True)
    number: int = contents["meta"]["epoch"]
    assert torch.equal(contents["state_dict"]["weight"], _checkpoint(number)["state_dict"]["weight"])
    return number


def test_latest_is_a_relative_link_to_the_newest(folder: Path) -> None:
    assert (folder / LATEST).readlink() == Path("epoch_1.pth")
    save_checkpoint(folder, SNAPSHOT, _checkpoint(2))
    assert (folder / LATEST).readlink() == Path(SNAPSHOT)
    moved = folder.rename(folder.with_name("moved"))
    assert _load(moved / LATEST) == 2


def test_snapshot_goes_when_the_checkpoint_of_its_epoch_is_there(folder: Path) -> None:
    save_checkpoint(folder, SNAPSHOT, _checkpoint(2))
    save_checkpoint(folder, "epoch_2.pth", _checkpoint(2))
    assert sorted(path.name for path in folder.iterdir()) == ["epoch_1.pth", "epoch_2.pth", LATEST]


def test_without_links_latest_is_a_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "symlink_to", no_links)
    for number in (2, 3):
        save_checkpoint(folder, f"epoch_{number}.pth", _checkpoint(number))
        assert not (folder / LATEST).is_symlink()
        assert _load(folder / LATEST) == number


class FailingDisk:
    """Makes the n-th of the calls by which files are written fail, and counts them."""

    CALLS = (
        (tempfile, "mkstemp"),
        (Path, "write_bytes"),
        (Path, "chmod"),
        (os, "fsync"),
        (Path, "replace"),
        (Path, "symlink_to"),
        (os, "open"),
    )

    def __init__(self, monkeypatch: pytest.MonkeyPatch, number: int, failing: int) -> None:
        self.number, self.failing, self.calls = number, failing, 0
        for owner, name in self.CALLS:
            monkeypatch.setattr(owner, name, self._wrapped(getattr(owner, name), name))

    def _wrapped(self, call: Any, name: str) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **more: Any) -> Any:
            self.calls += 1
            if self.calls != self.failing:
                return call(*arguments, **more)
            if name == "write_bytes":  # a full disk takes a part of it
                call(arguments[0], arguments[1][: len(arguments[1]) // 2])
            raise OSError(self.number, os.strerror(self.number))

        return wrapped


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("name", ["epoch_2.pth", SNAPSHOT])
def test_whatever_fails_latest_is_whole_and_nothing_is_left_over(
    folder: Path, number: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors: list[str] = []
    for failing in range(1, 40):
        before = _load(folder / LATEST)
        with monkeypatch.context() as patch:
            disk = FailingDisk(patch, number, failing)
            try:
                save_checkpoint(folder, name, _checkpoint(1 + failing))
            except UserError as error:
                errors.append(str(error))
        assert _load(folder / LATEST) in (before, 1 + failing)
        assert not list(folder.glob(".*"))
        if disk.calls < failing:
            break
    assert disk.calls >= 10
    assert len(errors) >= disk.calls - 1  # a link that cannot be made becomes a copy
    assert all(f"cannot be written ({os.strerror(number)})" in error and "\n" not in error for error in errors)
    assert _load(folder / LATEST) == 1 + failing


def test_failure_before_the_rename_leaves_the_checkpoint_as_it_was(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_checkpoint(folder, SNAPSHOT, _checkpoint(2))
    for failing in (1, 2):
        with monkeypatch.context() as patch:
            FailingDisk(patch, errno.ENOSPC, failing)
            with pytest.raises(UserError):
                save_checkpoint(folder, SNAPSHOT, _checkpoint(3))
        assert _load(folder / SNAPSHOT) == 2


def test_checkpoint_that_is_gone_is_not_mistaken_for_a_new_folder(folder: Path) -> None:
    (folder / "epoch_1.pth").unlink()
    with pytest.raises(UserError, match=r"points to epoch_1\.pth, which is missing"):
        newest_checkpoint(folder)
    (folder / LATEST).unlink()
    assert newest_checkpoint(folder) is None


def test_earlier_run_is_moved_aside_and_nothing_of_the_user_is(folder: Path) -> None:
    assert set_aside(folder.with_name("new")) is None
    own = ["photo.jpg", "notes.log", "teacher.pth"]
    for name in (*own, "20260101_101010.log", "config.py"):
        (folder / name).write_text(name)
    (folder / "detector").mkdir()
    assert set_aside(folder) == f"{folder} held an earlier run, whose files are now in {folder}_1"
    moved = folder.with_name(f"{folder.name}_1")
    assert sorted(path.name for path in moved.iterdir()) == ["20260101_101010.log", "config.py", "epoch_1.pth", LATEST]
    assert _load(moved / LATEST) == 1
    assert sorted(path.name for path in folder.iterdir()) == sorted([*own, "detector"])
    assert set_aside(folder) is None


def test_each_earlier_run_gets_a_folder_of_its_own(folder: Path) -> None:
    for number in (1, 2):
        (folder / "detector").mkdir()
        save_checkpoint(folder, SNAPSHOT, _checkpoint(number))
        save_checkpoint(folder / "detector", SNAPSHOT, _checkpoint(number))
        assert str(set_aside(folder)).endswith(f"{folder.name}_{number}")
    assert [_load(folder.with_name(f"{folder.name}_{number}") / LATEST) for number in (1, 2)] == [1, 2]
    assert _load(folder.with_name(f"{folder.name}_2") / "detector" / LATEST) == 2
    assert not list(folder.iterdir())


def test_earlier_run_on_a_disk_of_its_own_stays_on_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = Path.rename

    def on_one_disk(path: Path, target: Path) -> Path:
        if target.parent.parent != folder:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", on_one_disk)
    assert str(set_aside(folder)).endswith(f"{folder / folder.name}_1")
    assert _load(folder / f"{folder.name}_1" / LATEST) == 1
    assert not folder.with_name(f"{folder.name}_1").exists()


def test_earlier_run_in_the_working_folder_is_moved_beside_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert str(set_aside(Path())).endswith(f"{folder.name}_1")
    assert _load(folder.with_name(f"{folder.name}_1") / LATEST) == 1


FINISHED: dict[str, Any] = {"epochs": 3, "save_every": 2, "validate": True, "ema": 0.5}


def test_files_of_a_run_are_the_published_ones(runs: Any) -> None:
    names = {path.name for path in runs.whole(**FINISHED).iterdir()}
    logs = {name for name in names if name.endswith((".log", ".log.json"))}
    assert len(logs) == 2
    assert names - logs == {
        "epoch_2.pth",
        "epoch_3.pth",
        "latest.pth",
        "best.pth",
        "best.json",
        "tf_logs",
        "result_keypoints.json",
        # ours
        "config.py",
        "curves.png",
        "best.safetensors",
        "last.safetensors",
    }


def test_checkpoint_has_the_published_layout(runs: Any) -> None:
    contents = torch.load(runs.whole(**FINISHED) / "epoch_2.pth", weights_only=True)
    assert {"meta", "state_dict", "optimizer"} <= set(contents)
    assert {"epoch": 2, "iter": 10, "seed": 0}.items() <= contents["meta"].items()
    assert {"config", "time"} <= set(contents["meta"])
    names = list(contents["state_dict"])
    assert names[0] == "backbone.stem.conv1.conv.weight"
    assert names[-2:] == ["keypoint_head.final_layer.weight", "keypoint_head.final_layer.bias"]
    (group,) = contents["optimizer"]["param_groups"]
    assert {"lr": 1e-4, "initial_lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0}.items() <= (
        group.items()
    )
    state = contents["optimizer"]["state"]
    assert sorted(state) == group["params"]
    assert set(state[0]) == {"step", "exp_avg", "exp_avg_sq"}
    assert state[0]["exp_avg"].shape == contents["state_dict"][names[0]].shape


def test_config_of_a_checkpoint_and_of_the_folder_is_a_recipe(runs: Any, tmp_path: Path) -> None:
    from litehrnet.config.recipes import read_recipe

    folder = runs.whole(**FINISHED)
    text = torch.load(folder / "epoch_2.pth", weights_only=True)["meta"]["config"]
    assert text == (folder / "config.py").read_text()
    assert "training.save_every: 1 -> 2" in text
    assert read_recipe(folder / "config.py").training == runs.config("any", **FINISHED).training


def test_best_is_the_average_without_an_optimizer(runs: Any) -> None:
    folder = runs.whole(**FINISHED)
    best = torch.load(folder / "best.pth", weights_only=True)
    assert set(best) == {"meta", "state_dict"}
    said = json.loads((folder / "best.json").read_text())
    assert list(said) == ["best_score", "best_ckpt", "key_indicator"]
    assert said["key_indicator"] == "AP"
    assert said["best_ckpt"] == str(folder / f"epoch_{best['meta']['epoch']}.pth")
    average = torch.load(folder / "epoch_2.pth", weights_only=True)["run"]["average"]
    assert list(average) == list(best["state_dict"])


def test_published_result_file_is_of_the_newest_evaluation(runs: Any) -> None:
    results = json.loads((runs.whole(**FINISHED) / "result_keypoints.json").read_text())
    assert len(results) == 10
    assert set(results[0]) == {"category_id", "center", "image_id", "keypoints", "scale", "score"}


@pytest.mark.parametrize("name", ["epoch_2.pth", "latest.pth", "best.pth", "best.safetensors", "last.safetensors"])
def test_every_weights_file_of_a_run_predicts_tests_and_converts(
    runs: Any, name: str, tmp_path: Path, drawn: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = str(runs.whole(**FINISHED) / name)
    photo = str(drawn / "photos" / "000000000001.jpg")
    size = ["--input-size", "64", "64"] if name.endswith(".pth") else []
    predict = ["predict", photo, "--whole-image", "--weights", weights, "--out-dir", str(tmp_path)]
    assert main([*predict, *size, "--threads", "1"]) == 0
    files = ["--annotations", str(drawn / "persons.json"), "--images", str(drawn / "photos")]
    capsys.readouterr()
    assert main(["test", weights, *files, *size, "--json", "--threads", "1"]) == 0
    assert "AP" in json.loads(capsys.readouterr().out)
    if name.endswith(".pth"):
        out = tmp_path / "converted.safetensors"
        assert main(["convert", weights, str(out), "--input-size", "64", "64"]) == 0
        one, other = (load_network(Path(path))[0].state_dict() for path in (weights, out))
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_last_weights_are_the_average_and_say_what_they_are(runs: Any) -> None:
    folder = runs.whole(**FINISHED)
    network, info = load_network(folder / "last.safetensors")
    assert info.input_size_wh == (64, 64)
    assert info.provenance.endswith("recipe drawn, 15 iterations")
    average = torch.load(folder / "epoch_3.pth", weights_only=True)["run"]["average"]
    assert all(torch.equal(value, average[name]) for name, value in network.state_dict().items())


def test_leftovers_of_a_killed_run_go_at_the_next_start(runs: Any) -> None:
    folder = runs.folder / "run"
    folder.mkdir()
    left = []
    for name in (SNAPSHOT, "best.json", LATEST):
        with replacing(folder / name) as temporary:
            left.append(temporary)
        (folder / name).rename(temporary)  # as if killed before the rename
    (folder / ".notes.txt").write_text("mine")
    assert all(path.exists() for path in left)
    assert runs.run(runs.config("run", epochs=1)) == 0
    assert not any(path.exists() for path in left)
    assert (folder / ".notes.txt").exists()
