"""``litehrnet predict`` on videos."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from tests.figure import draw_figure

from litehrnet import read_frames
from litehrnet.cli.main import main
from litehrnet.video.writing import VideoWriter

RATE = 25
Film = Callable[..., Path]


@pytest.fixture
def film(tmp_path: Path) -> Film:
    """Writes a video of the drawn figure moving to the right, and then of nobody."""

    def write(
        name: str = "film",
        frames: int = 12,
        empty: int = 3,
        size_wh: tuple[int, int] = (160, 120),
        codec: str | None = None,
    ) -> Path:
        figure, _, _ = draw_figure((90, 120))
        with VideoWriter(tmp_path / name, Fraction(RATE), codec=codec) as writer:
            for number in range(frames + empty):
                picture = np.full((size_wh[1], size_wh[0], 3), (120, 130, 140), np.uint8)
                if number < frames:
                    picture[:120, number % 60 : number % 60 + 90] = figure
                writer.write(picture, number / RATE)
        return writer.path

    return write


def _predict(out: Path, *arguments: str | Path) -> int:
    return main(["predict", *map(str, arguments), "--whole-image", "--out-dir", str(out), "--threads", "1"])


def _records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_video_gives_a_drawn_one_and_a_line_per_frame(
    film: Film, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = film(), tmp_path / "out"
    assert _predict(out, path, "--smooth") == 0
    records = _records(out / "film.jsonl")
    assert [record["frame"] for record in records] == list(range(15))
    assert [record["time"] for record in records] == [round(number / RATE, 6) for number in range(15)]
    assert [len(record["persons"]) for record in records] == [1] * 12 + [0] * 3
    assert [person["id"] for record in records for person in record["persons"]] == [0, 0] + [1] * 10
    assert len(records[5]["persons"][0]["smoothed"]) == 34
    drawn, given = list(read_frames(out / "film.mp4")), list(read_frames(path))
    assert [frame.time for frame in drawn] == pytest.approx([frame.time for frame in given])
    changed = [
        int((np.abs(d.image.astype(int) - g.image).max(axis=2) > 60).sum()) for d, g in zip(drawn, given, strict=True)
    ]
    assert min(changed[:12]) > 100  # a skeleton
    assert max(changed[12:]) == 0
    text = capsys.readouterr().out
    assert "no detector: one person is followed" in text
    assert re.search(r"film\.mp4, .*film\.jsonl: 15 frames, 12 poses, [\d.]+ frames per second", text)


def test_videos_of_the_users_are_kept(film: Film, tmp_path: Path) -> None:
    path = film(frames=3, empty=0)
    users = {name: f"the user's {name}".encode() for name in ("film-2.mp4", "film-3.jsonl")}
    for name, content in users.items():
        (tmp_path / name).write_bytes(content)
    before = path.read_bytes()
    for _ in range(2):  # the second run replaces what the first one wrote
        assert _predict(tmp_path, path) == 0
        names = ["film-2.mp4", "film-3.jsonl", "film-4.jsonl", "film-4.mp4", "film.mp4"]
        assert sorted(file.name for file in tmp_path.iterdir() if not file.name.startswith(".")) == names
    assert path.read_bytes() == before
    assert {name: (tmp_path / name).read_bytes() for name in users} == users


def test_nobody_in_a_video_is_said(film: Film, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _predict(tmp_path / "out", film(frames=0, empty=3)) == 0
    said = capsys.readouterr().out
    assert "3 frames, 0 poses" in said
    assert said.endswith("nobody found\n")


def test_a_part_of_the_frames(film: Film, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert _predict(out, film(), "--start", "0.2", "--end", "0.5", "--every", "3") == 0
    assert [record["time"] for record in _records(out / "film.jsonl")] == [0.2, 0.32, 0.44]
    frames = list(read_frames(out / "film.mp4"))
    assert [frame.time for frame in frames] == pytest.approx([0, 0.12, 0.24])


def test_a_video_that_is_cut_short_leaves_what_could_be_read(
    film: Film, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with av.open(str(film(frames=60))) as given, av.open(str(tmp_path / "cut.mkv"), "w") as container:
        copy = container.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(video=0):
            if packet.dts is not None:
                packet.stream = copy
                container.mux(packet)
    content = (tmp_path / "cut.mkv").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(content[: len(content) // 2])
    out = tmp_path / "out"
    assert _predict(out, tmp_path / "cut.mkv") == 2
    captured = capsys.readouterr()
    assert re.fullmatch(r"error: .*cut\.mkv: truncated, it has frames for \d\.\d s of 2\.5 s\n", captured.err)
    records = _records(out / "cut.jsonl")
    assert 5 < len(records) < 60
    assert len(list(read_frames(out / "cut.mp4"))) == len(records)
    assert f"{len(records)} frames" in captured.out


def test_several_videos_get_results_of_their_own(
    film: Film, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Names are distinct, identities start anew, and a broken video does not stop the others."""
    first = film(frames=4, empty=0)
    (tmp_path / "other").mkdir()
    second = film("other/film", frames=5, empty=1)
    (tmp_path / "text.mp4").write_text("no video")
    out = tmp_path / "out"
    assert _predict(out, first, tmp_path / "text.mp4", second) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"error: {tmp_path / 'text.mp4'}: not a video")
    assert captured.err.count("\n") == 1
    results = [_records(out / name) for name in ("film.jsonl", "film-2.jsonl")]
    assert [len(records) for records in results] == [4, 6]
    assert [person["id"] for record in results[1] for person in record["persons"]] == [0, 0, 1, 1, 1]
    assert len(list(read_frames(out / "film-2.mp4"))) == 6
    assert captured.out.count("frames per second") == 2


def test_a_folder_of_photos_and_videos_gives_results_for_each(
    film: Film, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "phone").mkdir()
    film("phone/a", frames=2, empty=0)
    film("phone/b", frames=3, empty=0)
    cv2.imwrite(str(tmp_path / "phone" / "photo.jpg"), draw_figure((90, 120))[0])
    (tmp_path / "phone" / "notes.txt").touch()
    out = tmp_path / "out"
    assert _predict(out, "~/phone") == 0
    assert "skipped: 1 .txt\n" in capsys.readouterr().out
    names = {path.name for path in out.iterdir() if not path.name.startswith(".")}
    assert names == {"photo.jpg", "keypoints.json", "a.mp4", "a.jsonl", "b.mp4", "b.jsonl"}
    assert len(_records(out / "b.jsonl")) == 3

    # Photos that cannot be used do not stop the videos, and the boxes of photos leave the videos of a folder alone.
    (tmp_path / "phone" / "photo.jpg").write_text("no photo")
    assert _predict(tmp_path / "again", "~/phone") == 2
    assert "photo.jpg: not an image" in capsys.readouterr().err
    assert len(_records(tmp_path / "again" / "b.jsonl")) == 3
    (tmp_path / "boxes.json").write_text('[{"image_id": 1, "bbox": [0, 0, 9, 9], "score": 1, "category_id": 1}]')
    arguments = ["--boxes", str(tmp_path / "boxes.json"), "--out-dir", str(tmp_path / "boxed")]
    assert main(["predict", str(tmp_path / "phone"), *arguments]) == 2
    assert "photo.jpg" in capsys.readouterr().err


def test_bad_input_is_one_sentence_and_leaves_nothing(
    film: Film, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = film(), tmp_path / "out"
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "boxes.json").write_text("[]")
    photo = Path(__file__).parents[2] / "src" / "litehrnet" / "photos" / "astronaut.jpg"
    cases: list[tuple[list[str | Path], str]] = [
        ([tmp_path / "text.mp4"], "text.mp4: not a video"),
        ([tmp_path / "none.mp4"], "none.mp4: no such file"),
        (["99"], "/dev/video99: no such file or camera"),
        ([path, "99"], "/dev/video99: never ends"),
        ([photo, "99"], "/dev/video99: never ends"),
        ([path, "--start", "2", "--end", "1"], "--end 1: not after --start 2"),
        ([path, "--start", "9"], "film.mp4: no frame could be read from 9 s on"),
        ([photo, "--track"], "--track: only works with video or camera input"),
        ([photo, "--every", "2"], "--every: only works with video or camera input"),
    ]
    for arguments, said in cases:
        assert _predict(out, *arguments) == 2, arguments
        error = capsys.readouterr().err
        assert said in error
        assert error.startswith("error: ")
        assert error.count("\n") == 1
        assert not out.exists() or not list(out.iterdir())


def test_a_camera_that_goes_away_keeps_what_was_seen(
    film: Film, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with av.open(str(film(frames=40))) as given, av.open(str(tmp_path / "film.ts"), "w") as container:
        copy = container.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(video=0):
            if packet.dts is not None:
                packet.stream = copy
                container.mux(packet)
    content, server = (tmp_path / "film.ts").read_bytes(), socket.create_server(("127.0.0.1", 0))

    def send() -> None:
        with server, server.accept()[0] as connection:
            connection.sendall(content[: len(content) * 3 // 4])

    threading.Thread(target=send, daemon=True).start()
    port, out = server.getsockname()[1], tmp_path / "out"
    assert _predict(out, f"tcp://127.0.0.1:{port}", "--track") == 2
    assert re.search(rf"error: tcp://127.0.0.1:{port}: stopped after \d\.\d s", capsys.readouterr().err)
    records = _records(out / f"127-0-0-1-{port}.jsonl")
    assert records[0]["time"] == 0
    assert len(list(read_frames(out / f"127-0-0-1-{port}.mp4"))) == len(records) > 0


def _start(out: Path, *arguments: str | Path) -> "subprocess.Popen[str]":
    command = [
        sys.executable,
        "-m",
        "litehrnet",
        "predict",
        *map(str, arguments),
        "--whole-image",
        "--out-dir",
        str(out),
        "--threads",
        "1",
    ]

    def heed_interrupts() -> None:  # which jobs in the background of a shell do not, nor what they start
        signal.signal(signal.SIGINT, signal.default_int_handler)

    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heed_interrupts
    )


def _wait_for_lines(path: Path, count: int) -> None:
    for _ in range(8000):
        if path.exists() and path.read_text().count("\n") >= count:
            return
        time.sleep(0.05)
    raise AssertionError(f"{path} did not grow")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_killed_keeps_what_it_had(film: Film, tmp_path: Path, how: signal.Signals) -> None:
    path, out = film(frames=3000, empty=0, size_wh=(152, 120), codec="mpeg4"), tmp_path / "out"
    process = _start(out, path)
    _wait_for_lines(out / "film.jsonl", 200)
    os.kill(process.pid, how)
    said, errors = process.communicate(timeout=300)
    lines = (out / "film.jsonl").read_text().splitlines()
    assert 200 <= len(lines) < 3000
    assert [json.loads(line)["frame"] for line in lines[:-1]] == list(range(len(lines) - 1))
    drawn = list(read_frames(out / "film.mp4"))
    if how == signal.SIGINT:  # it ends in order
        assert (process.returncode, errors) == (130, "interrupted\n")
        assert f"{len(lines)} frames" in said
        assert len(drawn) == len(lines)
    else:
        assert len(drawn) >= 50  # up to a keyframe some seconds ago


def test_show_streams_the_drawn_frames(film: Film, tmp_path: Path) -> None:
    process = _start(tmp_path / "out", film(frames=3000, empty=0, size_wh=(152, 120), codec="mpeg4"), "--show")
    assert process.stdout is not None
    try:
        url = next(line for line in process.stdout if line.startswith("show: ")).split()[1]
        with urllib.request.urlopen(url + "film", timeout=30) as answer:
            assert answer.headers["Content-Type"].startswith("multipart/x-mixed-replace")
            pictures = [_next_picture(answer) for _ in range(3)]
    finally:
        process.kill()
        process.communicate()
    orange = [(np.abs(picture.astype(int) - (255, 140, 0)).max(axis=2) < 60).sum() for picture in pictures]
    assert {picture.shape for picture in pictures} == {(120, 152, 3)}
    assert min(orange) > 10  # the left side of a skeleton


def _next_picture(stream: IO[bytes]) -> NDArray[np.uint8]:
    while not (line := stream.readline()).startswith(b"Content-Length: "):
        assert line, "the stream ended"
    stream.readline()
    bgr = cv2.imdecode(np.frombuffer(stream.read(int(line.split()[1])), np.uint8), cv2.IMREAD_COLOR)
    assert bgr is not None
    return np.asarray(bgr[..., ::-1], np.uint8)


@pytest.mark.slow
def test_memory_is_flat_over_five_thousand_frames(film: Film, tmp_path: Path) -> None:
    path, out = film(frames=5000, empty=0, size_wh=(152, 120), codec="mpeg4"), tmp_path / "out"
    process, sizes = _start(out, path, "--smooth"), []
    for count in (1000, 4900):
        _wait_for_lines(out / "film.jsonl", count)
        pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
        sizes.append(pages * os.sysconf("SC_PAGE_SIZE") / 1e6)
    said, _ = process.communicate(timeout=300)
    assert "5000 frames" in said
    assert sizes[1] - sizes[0] < 8, sizes  # megabytes; the table of frames in the video's file is half of one
