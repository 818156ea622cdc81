"""What a run writes and prints (docs/spec/protocol.md, section 5.6)."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from litehrnet import read_image
from litehrnet.data.formats import AP
from litehrnet.training.curves import draw_curves, read_log
from litehrnet.training.log import clock

SETTINGS: dict[str, Any] = {"epochs": 2, "validate": True, "evaluate_every": 2}
"""Five steps per epoch, a line every two."""

COMPUTED = [name for name in AP.values if "(L)" not in name]  # nobody is large here


def _lines(folder: Path) -> list[dict[str, Any]]:
    (path,) = folder.glob("*.log.json")
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_json_log_has_the_published_lines(runs: Any) -> None:
    first, *lines = _lines(runs.whole(**SETTINGS))
    assert {"env_info", "seed"} <= set(first)
    assert first["seed"] == 0
    places = [(line["mode"], line["epoch"], line["iter"]) for line in lines]
    # The remainder of an epoch is not logged.
    assert places == [("train", 1, 2), ("train", 1, 4), ("train", 2, 2), ("train", 2, 4), ("val", 2, 5)]
    assert list(lines[0]) == [
        "mode", "epoch", "iter", "lr", "data_time", "mse_loss", "acc_pose", "loss", "time"
    ]  # fmt: skip
    assert list(lines[-1]) == ["mode", "epoch", "iter", "lr", *COMPUTED]


def test_numbers_of_the_json_log_are_rounded_to_five_decimals(runs: Any) -> None:
    numbers = [value for line in _lines(runs.whole(**SETTINGS))[1:] for value in line.values()]
    floats = [number for number in numbers if isinstance(number, float)]
    assert any(number != round(number, 4) for number in floats)
    assert all(number == round(number, 5) for number in floats)


def test_losses_of_the_log_are_means_over_the_steps_since_the_last_line(
    runs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from litehrnet.training import loop

    seen: list[float] = []
    count = loop.count_step

    def spied(run: Any, state: Any, values: dict[str, float], **more: Any) -> None:
        seen.append(values["mse_loss"])
        count(run, state, values, **more)

    monkeypatch.setattr(loop, "count_step", spied)
    runs.run(runs.config("run", epochs=2))
    losses = [line["loss"] for line in _lines(runs.folder / "run")[1:]]
    assert losses == [round((seen[i] + seen[i + 1]) / 2, 5) for i in (0, 2, 5, 7)]


def test_loss_has_the_name_of_its_kind(runs: Any) -> None:
    from litehrnet.config.schema import LossConfig

    runs.run(runs.config("run", epochs=1, loss=LossConfig("ohkm")))
    line = _lines(runs.folder / "run")[1]
    assert line["ohkm_loss"] == line["loss"]
    assert "mse_loss" not in line


def test_epochs_shorter_than_the_interval_give_one_line_each(runs: Any) -> None:
    runs.run(runs.config("run", log_every=50))
    assert [(line["epoch"], line["iter"]) for line in _lines(runs.folder / "run")[1:]] == [(1, 5), (2, 5)]


def test_tensorboard_has_the_published_tags(runs: Any) -> None:
    events = EventAccumulator(str(runs.whole(**SETTINGS) / "tf_logs"))
    events.Reload()
    tags = {"train/mse_loss", "train/acc_pose", "train/loss", "learning_rate", "momentum"}
    assert set(events.Tags()["scalars"]) == tags | {f"val/{name}" for name in COMPUTED}
    assert [event.step for event in events.Scalars("train/loss")] == [2, 4, 7, 9]
    assert [event.step for event in events.Scalars("val/AP")] == [10]
    assert [event.value for event in events.Scalars("momentum")] == pytest.approx([0.9] * 4)


def test_text_log_says_all_that_is_printed(runs: Any, capsys: pytest.CaptureFixture[str]) -> None:
    runs.run(runs.config("run", **SETTINGS))
    printed = capsys.readouterr().out.splitlines()
    (path,) = (runs.folder / "run").glob("*.log")
    assert [line[20:] for line in path.read_text().splitlines()] == printed  # after the time


def test_printed_lines_read_well(runs: Any, capsys: pytest.CaptureFixture[str]) -> None:
    runs.run(runs.config("run", **SETTINGS))
    said = capsys.readouterr()
    assert said.err == ""
    lines = said.out.splitlines()
    pattern = (
        r"epoch 1/2 step 2/5: loss 0\.0\d{5}, accuracy \d\.\d{3}, lr 3\.34e-04, \d+\.\d samples/s, "
        r"data wait \d+ %, left 0:0\d:\d\d"
    )
    assert re.fullmatch(pattern, next(line for line in lines if line.startswith("epoch 1/2")))
    assert re.fullmatch(r"epoch 2 evaluated: AP \d\.\d{4} \(best so far\); boxes: ground truth \(.*\)", lines[-3])
    assert re.fullmatch(r"    AP \.5 .*, AR \(M\) 0\.0000", lines[-2])
    assert re.match(r"done: 2 epochs, 10 iterations, 0:0\d:\d\d of training; weights: .*last.safetensors, ", lines[-1])


def test_live_lines_fit_80_columns(runs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    from litehrnet.training.log import _live_lines, _step_words
    from litehrnet.training.state import Progress

    sums = {"iterations": 50.0, "mse_loss": 0.05, "acc_pose": 40.0, "data_time": 5.0, "time": 5.0}
    words = _step_words(Progress(sums=sums), 2e-3, 123)
    place = ("epoch 123/210", "step 1234/4675", f"left {clock(500 * 3600)}")
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    with console.file:
        console.print(_live_lines(place, "  ".join(words), 0.3))
    first, second = console.export_text().splitlines()
    assert first.startswith("epoch 123/210")
    assert first.rstrip().endswith("step 1234/4675  left 500:00:00")
    assert second == "loss 0.001000  accuracy 0.800  lr 2.00e-03  1230.0 samples/s  data wait 100 %"


def test_terminal_gets_live_lines_instead_of_the_lines_of_the_log(runs: Any) -> None:
    """Through a pseudo terminal, as a user sees it."""
    import os
    import pty
    import sys

    output, terminal = pty.openpty()
    os.environ.pop("TERM", None)
    before = sys.stdout
    try:
        with pytest.MonkeyPatch.context() as patch, open(terminal, "w", encoding="utf-8") as stdout:  # noqa: PTH123
            patch.setenv("TERM", "xterm")
            patch.setenv("COLUMNS", "80")
            patch.setattr(sys, "stdout", stdout)
            import threading

            chunks: list[bytes] = []

            def read() -> None:
                try:
                    while chunk := os.read(output, 65536):
                        chunks.append(chunk)
                except OSError:
                    return  # the terminal is closed

            reader = threading.Thread(target=read)
            reader.start()
            runs.run(runs.config("run", **SETTINGS))
        reader.join()
    finally:
        sys.stdout = before
        os.close(output)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", b"".join(chunks).decode())
    assert "step 5/5  left 0:00:00" in text
    assert re.search(r"loss 0\.0\d{5}  accuracy \d\.\d{3}  lr .*  data wait \d+ %", text)
    assert "evaluating on 10 people ..." in text
    assert "epoch 2 evaluated: AP" in text
    assert "step 2/5: loss" not in text
    (path,) = (runs.folder / "run").glob("*.log")
    assert "step 2/5: loss" in path.read_text()


def test_curves_are_drawn_without_an_evaluation_too(runs: Any) -> None:
    runs.run(runs.config("run", epochs=1), draw=True)
    picture = read_image(runs.folder / "run" / "curves.png")
    assert picture.shape[0] < picture.shape[1]
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 10


def test_curves_of_a_run_that_was_stopped_before_its_first_step_are_empty(runs: Any) -> None:
    assert runs.run(runs.config("run"), stop_after=0, draw=True) == 143
    assert (runs.folder / "run" / "curves.png").exists()


def test_lines_after_the_checkpoint_that_a_run_goes_on_from_are_left_out(tmp_path: Path) -> None:
    def line(mode: str, epoch: int, iteration: int, loss: float) -> str:
        return json.dumps({"mode": mode, "epoch": epoch, "iter": iteration, "loss": loss, "acc_pose": 0.0}) + "\n"

    killed = "".join(line("train", epoch, i, 1.0) for epoch in (1, 2) for i in (2, 4)) + line("val", 2, 5, 1.0)
    (tmp_path / "20200101_000000.log.json").write_text('{"starts_after": [1, 0]}\n' + killed + '{"mode": "tr')
    (tmp_path / "20200101_000001.log.json").write_text('{"starts_after": [2, 3]}\n[]\n' + line("train", 2, 4, 2.0))
    read = [(line["epoch"], line["iter"], line["loss"]) for line in read_log(tmp_path)]
    assert read == [(1, 2, 1.0), (1, 4, 1.0), (2, 2, 1.0), (2, 4, 2.0)]
    draw_curves(tmp_path, "AP", 5)
    assert (tmp_path / "curves.png").exists()


def test_log_that_cannot_be_written_is_one_sentence(runs: Any, user_error: Any) -> None:
    """The disk is full from some step on."""

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("litehrnet.training.log.json.dumps", full)
        said = user_error(lambda: runs.run(runs.config("run")))
    assert said == f"{runs.folder / 'run'}: the log cannot be written (No space left on device)"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00:00"), (59.6, "0:01:00"), (3661, "1:01:01"), (93784, "26:03:04")]
)
def test_clock_counts_hours(seconds: float, text: str) -> None:
    assert clock(seconds) == text
