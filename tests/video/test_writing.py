from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from litehrnet import UserError, read_frames
from litehrnet.video.sources import file_source
from litehrnet.video.writing import CODECS, VideoWriter

from .conftest import WriteVideo, brightness, numbered, sound_packets


@pytest.mark.parametrize("codec", CODECS)
def test_what_is_written_is_read_again(tmp_path: Path, codec: str) -> None:
    times = [0, 1001 / 30000, 2002 / 30000, 0.5, 2.25]
    with VideoWriter(tmp_path / "out", Fraction(30000, 1001), codec=codec) as writer:
        for number, time in enumerate(times):
            writer.write(numbered(number, (64, 48)), time)
    assert writer.path == tmp_path / "out.mp4"
    frames = list(read_frames(writer.path))
    assert [frame.time for frame in frames] == pytest.approx(times, abs=1e-5)
    for frame in frames:
        assert abs(float(frame.image[40, 50].mean()) - brightness(frame.number)) < 6
        assert np.abs(frame.image[10, 10].astype(int) - (200, 30, 30)).max() < 14


def test_colors_of_high_definition_are_kept(tmp_path: Path) -> None:
    image = np.full((720, 1280, 3), (30, 160, 255), np.uint8)
    image[:, 640:] = (255, 140, 0)
    with VideoWriter(tmp_path / "out", Fraction(25)) as writer:
        writer.write(image, 0)
    (frame,) = read_frames(writer.path)
    assert np.abs(frame.image.astype(int) - image)[:, ::100].max() < 6
    with av.open(str(writer.path)) as container:
        assert container.streams.video[0].codec_context.colorspace == 1  # BT.709, said in the file


def test_odd_sides_get_one_more_line(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "out", Fraction(25)) as writer:
        writer.write(numbered(0, (63, 47)), 0)
        writer.write(numbered(1, (31, 23)), 0.04)  # a stream may change its size
    first, second = read_frames(writer.path)
    assert first.image.shape == second.image.shape == (48, 64, 3)
    assert np.abs(first.image[-1].astype(int) - first.image[-2]).max() < 6
    assert np.abs(second.image[10, 10].astype(int) - (200, 30, 30)).max() < 14


@pytest.mark.parametrize(
    ("name", "sound", "suffix"),
    [
        ("film.mp4", "aac", ".mp4"),
        ("film.ts", "aac", ".mp4"),
        ("film.mkv", "libmp3lame", ".mp4"),
        ("film.avi", "pcm_s16le", ".mkv"),
    ],
)
def test_sound_is_copied_packet_by_packet(
    write_video: WriteVideo, tmp_path: Path, name: str, sound: str, suffix: str
) -> None:
    path = write_video(name, sound=sound, codec="mpeg4" if name == "film.avi" else "libx264")
    with VideoWriter(tmp_path / "out", Fraction(25), sound_of=file_source(path)) as writer:
        for frame in read_frames(path):
            writer.write(frame.image, frame.time)
    assert writer.path.suffix == suffix
    given, written = sound_packets(path), sound_packets(writer.path)
    if name != "film.ts":  # whose packets have headers that MP4 keeps elsewhere
        assert b"".join(content for _, content in written) == b"".join(content for _, content in given)
    assert sum(len(content) for _, content in written) > 2000
    # Pictures and sound begin as far from each other as they did.
    (frame, *_), (again, *_) = read_frames(path), read_frames(writer.path)
    with av.open(str(path)) as container:
        origin = (container.start_time or 0) / 1e6
    assert written[0][0] - again.time == pytest.approx(given[0][0] - origin - frame.time, abs=0.03)


def test_sound_of_a_part_is_that_of_the_part(write_video: WriteVideo, tmp_path: Path) -> None:
    path = write_video(frames=75, sound="aac")
    with VideoWriter(tmp_path / "out", Fraction(25), sound_of=file_source(path), start=1, end=2) as writer:
        for frame in read_frames(path, start=1, end=2):
            writer.write(frame.image, frame.time)
    given, written = sound_packets(path), sound_packets(writer.path)
    assert [content for _, content in written] == [content for time, content in given if 1 - 0.024 <= time < 2]
    assert written[1][0] == pytest.approx(next(time for time, _ in given if time >= 1) - 1, abs=0.03)
    assert len(list(read_frames(writer.path))) == 25


def test_it_can_be_played_while_it_is_written(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "out", Fraction(25)) as writer:
        for number in range(250):
            writer.write(numbered(number, (64, 48)), number / 25)
        copy = tmp_path / "copy.mp4"
        copy.write_bytes(writer.path.read_bytes())
    frames = list(read_frames(copy))
    assert len(frames) >= 100  # a keyframe every two seconds, and what the encoder holds back
    assert frames[-1].time == pytest.approx((len(frames) - 1) / 25)


def test_without_frames_there_is_no_file(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "out", Fraction(25)):
        pass
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "out.mp4").mkdir()
    with (
        VideoWriter(tmp_path / "out", Fraction(25)) as writer,
        pytest.raises(UserError, match=r"out\.mp4: cannot be wr"),
    ):
        writer.write(numbered(0, (64, 48)), 0)


def test_the_video_that_is_read_is_not_written_over(write_video: WriteVideo, tmp_path: Path) -> None:
    path = write_video()
    with VideoWriter(tmp_path / "film", Fraction(25), sound_of=file_source(path)) as writer:
        writer.write(numbered(0, (64, 48)), 0)
    assert writer.path == tmp_path / "film-2.mp4"
    assert len(list(read_frames(path))) == 20


def test_pixels_that_are_not_square_stay_so(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "out", Fraction(25), pixel_aspect=Fraction(4, 3)) as writer:
        writer.write(numbered(0, (64, 48)), 0)
    with av.open(str(writer.path)) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(4, 3)
