import gc
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from litehrnet import UserError, read_frames
from litehrnet.io.images import encode_image
from litehrnet.serving.content import LatestFrame
from litehrnet.serving.http import Site
from litehrnet.video.pictures import upright
from litehrnet.video.reading import Frame, VideoReader
from litehrnet.video.sources import Source, find_source

from .conftest import RATE, WriteVideo, brightness, numbered


def _times(path: Path, **limits: float) -> list[float]:
    return [round(frame.time, 3) for frame in read_frames(path, **limits)]  # type: ignore[arg-type]


def test_frames_come_in_order_with_their_times(write_video: WriteVideo) -> None:
    frames = list(read_frames(write_video()))
    assert [frame.number for frame in frames] == list(range(20))
    assert [frame.time for frame in frames] == pytest.approx([number / RATE for number in range(20)])
    for frame in frames:
        assert frame.image.shape == (48, 64, 3)
        assert abs(float(frame.image[40, 50].mean()) - brightness(frame.number)) < 4
        assert np.abs(frame.image[10, 10].astype(int) - (200, 30, 30)).max() < 12


def test_frames_are_freed_at_once_not_when_the_collector_comes(write_video: WriteVideo) -> None:
    path = write_video(turned=90)
    gc.collect()
    gc.disable()
    try:
        for _ in read_frames(path):
            pass
        kept = sum(type(each) is av.VideoFrame for each in gc.get_objects())
    finally:
        gc.enable()
    assert kept <= 1  # the first, which was asked for the rotation


_CODECS = {"webm": "libvpx-vp9", "gif": "gif", "avi": "mpeg4", "vob": "mpeg2video", "asf": "wmv2", "3g2": "mpeg4"}
_PIXELS = {"gif": "rgb8", "mjpg": "yuvj420p"}
_FORMATS = ["mkv", "avi", "ts", "webm", "mov", "gif", "vob", "asf", "f4v", "3g2", "mjpg", "h264"]


@pytest.mark.parametrize("suffix", _FORMATS)
def test_other_formats_give_the_same_frames(write_video: WriteVideo, suffix: str) -> None:
    codec = "mjpeg" if suffix == "mjpg" else _CODECS.get(suffix, "libx264")
    path = write_video(f"film.{suffix}", codec=codec, pixels=_PIXELS.get(suffix, "yuv420p"))
    assert find_source(path) is not None
    frames = list(read_frames(path))
    assert len(frames) == 20
    # Transport streams begin with their sound or at any time: 0 is where the file begins.
    offset = frames[0].time
    assert 0 <= offset < 0.1
    # In a program stream not every picture has a time of its own.
    tolerance = 1.1 / RATE if suffix == "vob" else 0.011
    assert [frame.time - offset for frame in frames] == pytest.approx([n / RATE for n in range(20)], abs=tolerance)
    for frame in frames:
        assert abs(float(frame.image[40, 50].mean()) - brightness(frame.number)) < 20


def test_a_raw_stream_has_the_times_of_its_rate(tmp_path: Path) -> None:
    path = tmp_path / "film.h264"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(30):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(numbered(number, (64, 48)), format="rgb24")))
        container.mux(stream.encode(None))
    assert _times(path) == [pytest.approx(number / 10) for number in range(30)]
    assert _times(path, start=1, end=1.5) == pytest.approx([1, 1.1, 1.2, 1.3, 1.4])


def test_a_variable_frame_rate_keeps_every_time(write_video: WriteVideo) -> None:
    times = [Fraction(t, 1000) for t in (0, 40, 55, 300, 310, 900, 1500, 1501)]
    assert _times(write_video(times=times)) == [float(time) for time in times]


def test_start_end_and_every(write_video: WriteVideo) -> None:
    path = write_video(frames=50)  # keyframes at 0, 0.4, 0.8, ...
    assert _times(path, start=0.6, end=0.76) == [0.6, 0.64, 0.68, 0.72]
    assert _times(path, start=1.9) == [1.92, 1.96]
    assert _times(path, every=20) == [0, 0.8, 1.6]
    assert _times(path, start=0.1, every=15) == [0.12, 0.72, 1.32, 1.92]
    frames = list(read_frames(path, start=0.6, every=5, end=1))
    assert [frame.number for frame in frames] == [0, 5]
    assert abs(float(frames[0].image[40, 50].mean()) - brightness(15)) < 4
    with pytest.raises(UserError, match="every 0: out of range"):
        next(read_frames(path, every=0))
    with pytest.raises(UserError, match=r"film\.mp4: no frame could be read from 5 s to 7 s"):
        list(read_frames(path, start=5, end=7))


def test_the_number_of_frames_is_foreseen(write_video: WriteVideo) -> None:
    source = find_source(write_video(frames=50))
    assert source is not None
    assert VideoReader(source).expected == 50
    assert VideoReader(source, start=1, every=5).expected == 5
    assert VideoReader(source, end=0.8).expected == 20


@pytest.mark.parametrize(("turned", "corner"), [(0, (10, 10)), (90, (54, 10)), (180, (38, 54)), (270, (10, 38))])
def test_videos_of_turned_phones_are_upright(write_video: WriteVideo, turned: int, corner: tuple[int, int]) -> None:
    # The red quarter is at the upper left of what is stored; turning counterclockwise by 90 brings it down.
    (frame, *_) = read_frames(write_video(turned=turned))
    assert frame.image.shape == ((48, 64, 3) if turned in (0, 180) else (64, 48, 3))
    assert np.abs(frame.image[corner].astype(int) - (200, 30, 30)).max() < 12
    assert frame.image.flags.c_contiguous


def test_mirrored_videos_are_mirrored_back() -> None:
    image = numbered(3, (6, 4))
    one = 1 << 16
    across = upright(image, np.array([-one, 0, 0, 0, one, 0, 0, 0, 1 << 30], np.int32))
    np.testing.assert_array_equal(across, image[:, ::-1])
    transposed = upright(image, np.array([0, one, 0, one, 0, 0, 0, 0, 1 << 30], np.int32))
    np.testing.assert_array_equal(transposed, image.transpose(1, 0, 2))


@pytest.mark.parametrize("pixels", ["yuv444p", "yuvj420p", "yuv420p10le"])
def test_pixel_formats_give_the_same_colors(write_video: WriteVideo, pixels: str) -> None:
    frames = list(
        read_frames(write_video(pixels=pixels, codec="mjpeg" if pixels == "yuvj420p" else "libx264", name="film.mkv"))
    )
    assert abs(float(frames[4].image[40, 50].mean()) - brightness(4)) < 5
    assert np.abs(frames[4].image[10, 10].astype(int) - (200, 30, 30)).max() < 14


def test_odd_sizes_are_read_as_they_are(write_video: WriteVideo) -> None:
    frames = list(read_frames(write_video(size_wh=(63, 47), pixels="yuv444p")))
    assert {frame.image.shape for frame in frames} == {(47, 63, 3)}


@pytest.mark.parametrize("options", [{"movflags": "faststart"}, None], ids=["mp4", "mkv"])
def test_a_video_that_is_cut_short_gives_what_it_has_and_says_so(
    write_video: WriteVideo, options: dict[str, str] | None
) -> None:
    path = write_video("film.mp4" if options else "film.mkv", frames=100, options=options)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 7 // 10])
    times: list[float] = []
    with pytest.raises(UserError, match=rf"{path.name}: truncated, it has frames for \d\.\d s of 4\.0 s"):
        times.extend(frame.time for frame in read_frames(path))
    assert 10 < len(times) < 100


def test_sound_that_is_longer_than_the_pictures_is_no_cut(write_video: WriteVideo, tmp_path: Path) -> None:
    path = write_video(sound="aac")
    longer = tmp_path / "longer.mkv"
    with av.open(str(path)) as given, av.open(str(longer), "w") as container:
        copies = {stream.index: container.add_stream_from_template(stream) for stream in given.streams}
        for packet in given.demux():
            if packet.dts is not None and (packet.stream.type == "audio" or (packet.pts or 0) * packet.time_base < 0.3):
                packet.stream = copies[packet.stream_index]
                container.mux(packet)
    assert 0 < len(list(read_frames(longer))) < 20


def test_damage_in_the_middle_is_passed_over_and_said(write_video: WriteVideo) -> None:
    path = write_video(frames=60, codec="mpeg4")
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        victim = [packet for packet in container.demux(video=0) if packet.size][20]
        assert victim.pos is not None
        content[victim.pos : victim.pos + victim.size] = bytes(victim.size)
    path.write_bytes(content)
    times: list[float] = []
    with pytest.raises(UserError, match=r"film\.mp4: damaged, 1 of 60 frames were lost"):
        times.extend(frame.time for frame in read_frames(path))
    assert len(times) == 59
    assert times[-1] == pytest.approx(59 / RATE)


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_rubbish_in_the_middle_costs_the_frames_it_covers_and_is_said(write_video: WriteVideo, codec: str) -> None:
    path = write_video(frames=200, codec=codec, size_wh=(320, 240))
    given = [frame.time for frame in read_frames(path)]
    content = bytearray(path.read_bytes())
    middle = content.index(b"mdat") + len(content) // 3
    content[middle : middle + 3000] = np.random.default_rng(1).bytes(3000)
    path.write_bytes(content)
    frames: list[Frame] = []
    with pytest.raises(UserError, match=r"film\.mp4: damaged, \d+ of 200 frames were lost$") as error:
        frames.extend(read_frames(path))
    lost = int(re.findall(r"(\d+) of", str(error.value))[0])
    assert 0 < lost < 100
    assert len(frames) == 200 - lost
    assert {frame.time for frame in frames} < set(given)
    assert frames[-1].time == given[-1]


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
def test_joined_transport_streams_lose_no_frame(write_video: WriteVideo, codec: str) -> None:
    parts = [write_video(name, codec=codec).read_bytes() for name in ("a.ts", "b.ts")]
    joined = write_video("joined.ts", frames=1)
    joined.write_bytes(b"".join(parts))
    frames = list(read_frames(joined))
    assert len(frames) == 40
    for frame in frames:
        assert abs(float(frame.image[40, 50].mean()) - brightness(frame.number % 20)) < 20
    steps = np.diff([frame.time for frame in frames])
    np.testing.assert_allclose(steps, 1 / RATE, atol=0.011)


def test_packets_that_miss_in_a_transport_stream_cost_their_frames(write_video: WriteVideo) -> None:
    path = write_video("film.ts", frames=60, codec="mpeg2video", size_wh=(320, 240))
    content = path.read_bytes()
    with av.open(str(path)) as container:
        victim = [packet for packet in container.demux(video=0) if packet.size][20]
        assert victim.pos is not None
    middle = victim.pos + 188
    path.write_bytes(content[:middle] + content[middle + 188 :])
    times: list[float] = []
    with pytest.raises(UserError, match=r"film\.ts: damaged, [1-3] of (59|60) frames were lost$"):
        times.extend(frame.time for frame in read_frames(path))
    assert len(times) >= 57


def test_what_is_no_video(tmp_path: Path, write_video: WriteVideo) -> None:
    def refused(path: Path, match: str) -> None:
        with pytest.raises(UserError, match=match):
            list(read_frames(path))

    refused(tmp_path / "none.mp4", r"none\.mp4: no such file")
    refused(tmp_path, "a folder")
    (tmp_path / "text.mp4").write_text("not a video at all\n" * 100)
    refused(tmp_path / "text.mp4", r"text\.mp4: not a video")
    (tmp_path / "empty.mp4").write_bytes(b"")
    refused(tmp_path / "empty.mp4", r"empty\.mp4: not a video")
    whole = write_video(frames=100).read_bytes()
    (tmp_path / "headless.mp4").write_bytes(whole[: len(whole) // 2])  # what tells where frames are stood at its end
    refused(tmp_path / "headless.mp4", r"headless\.mp4: not a video, or its beginning or end is missing")
    for name, covered in (("song.mp4", False), ("album.mp4", True)):
        _write_song(tmp_path / name, covered)
        refused(tmp_path / name, rf"{name}: has no video stream")
    with av.open(str(tmp_path / "nothing.mkv"), "w") as container:
        video = container.add_stream("mpeg4", rate=25)
        assert isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()
    refused(tmp_path / "nothing.mkv", r"nothing\.mkv: ends before the first frame")


def _write_song(path: Path, covered: bool) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        assert isinstance(stream, av.AudioStream)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        silence.rate = 44100
        if covered:  # the picture of the album, which files keep as a video stream
            cover = container.add_stream("png")
            assert isinstance(cover, av.VideoStream)
            cover.width, cover.height, cover.pix_fmt = 64, 48, "rgb24"
            cover.disposition = av.stream.Disposition.attached_pic
            container.mux(cover.encode(av.VideoFrame.from_ndarray(numbered(0, (64, 48)))))
        container.mux(stream.encode(silence))
        container.mux(stream.encode(None))


def test_a_playlist_reaches_no_other_place(tmp_path: Path, write_video: WriteVideo) -> None:
    write_video()
    (tmp_path / "concat.mp4").write_text(f"ffconcat version 1.0\nfile '{tmp_path}/film.mp4'\n")
    with pytest.raises(UserError, match=r"concat\.mp4: "):
        list(read_frames(tmp_path / "concat.mp4"))
    with pytest.raises(UserError, match="no such file"):
        list(read_frames(f"concat:{tmp_path}/film.mp4"))


class TestCamera:
    """A stream from this machine that nobody ends properly."""

    @pytest.fixture
    def serve(self) -> "Callable[[bytes], str]":
        def start(content: bytes) -> str:
            server = socket.create_server(("127.0.0.1", 0))

            def answer() -> None:
                with server, server.accept()[0] as connection:
                    connection.sendall(content)

            threading.Thread(target=answer, daemon=True).start()
            return f"tcp://127.0.0.1:{server.getsockname()[1]}"

        return start

    def test_one_that_goes_away_leaves_its_frames_and_a_sentence(
        self, write_video: WriteVideo, serve: Callable[[bytes], str]
    ) -> None:
        content = write_video("film.ts", frames=50).read_bytes()
        times: list[float] = []
        with pytest.raises(UserError, match=r"tcp://127.0.0.1:\d+: stopped after \d\.\d s"):
            times.extend(frame.time for frame in read_frames(serve(content[: len(content) * 8 // 10])))
        assert times[:3] == pytest.approx([0, 0.04, 0.08], abs=1e-4)
        assert len(times) > 30

    def test_photo_after_photo_is_timed_as_it_comes(self) -> None:
        film = LatestFrame()
        frames: list[Frame] = []
        with Site({"/film": film}, port=0) as site:

            def publish() -> None:
                while not site.is_asked():
                    time.sleep(0.01)
                for number in range(20):
                    film.publish(encode_image(numbered(number, (64, 48)), ".jpg", 90))
                    time.sleep(0.1)
                film.end()

            publisher = threading.Thread(target=publish)
            publisher.start()
            with pytest.raises(UserError, match="stopped"):
                frames.extend(read_frames(f"{site.url}film"))
            publisher.join()
        assert len(frames) > 10  # as the first ones may be gone before FFmpeg reads
        shades = [float(frame.image[40, 50].mean()) for frame in frames]
        assert all(min(abs(shade - brightness(number)) for number in range(20)) < 7 for shade in shades)
        assert len(set(shades)) > 5
        # FFmpeg takes 25 a second for granted, which would be 0.04.
        assert frames[-1].time > 0.06 * (len(frames) - 1)

    def test_one_that_is_not_there(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        with pytest.raises(UserError, match=rf"rtsp://127.0.0.1:{port}/live: cannot be opened"):
            list(read_frames(f"rtsp://user:secret@127.0.0.1:{port}/live"))
        with pytest.raises(UserError, match="video98"):
            list(read_frames("98"))

    def test_end_is_counted_from_the_first_frame(self, write_video: WriteVideo, serve: Callable[[bytes], str]) -> None:
        content = write_video("film.ts", frames=50).read_bytes()
        assert len(list(read_frames(serve(content), end=0.4))) == 10


def test_words_mean_files_cameras_and_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def found(word: str) -> Source:
        source = find_source(word)
        assert source is not None
        return source

    monkeypatch.chdir(tmp_path)
    assert (found("0").address, found("0").format, found("0").endless) == ("/dev/video0", "v4l2", True)
    (tmp_path / "0").write_bytes(b"")
    assert find_source("0") is None
    assert find_source("photo.jpg") is None
    assert find_source("photos/*.jpg") is None
    assert found("a/Movie.MP4").path == Path("a/Movie.MP4")
    assert found("rtsp://me:pass@camera.local:554/live?x=1").name == "rtsp://camera.local:554/live?x=1"
    assert found("rtsp://me:pass@camera.local:554/live?x=1").stem == "camera-local-554-live"
    assert not found("https://example.org/movie.mp4").endless


def test_it_says_that_pyav_is_missing(tmp_path: Path) -> None:
    (tmp_path / "movie.mp4").touch()
    code = "import sys; sys.modules['av'] = None; from litehrnet.cli.main import main; sys.exit(main())"
    arguments = ["predict", str(tmp_path / "movie.mp4"), "--out-dir", str(tmp_path / "out")]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "reading videos needs av, which is not installed (pip install 'litehrnet[video]')" in done.stderr
