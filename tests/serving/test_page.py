"""The page in Debian's Chromium without a screen, with a film in the place of the camera."""

import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from tests.serving.browsers import Browser, as_base64, open_page, run_script, text_of, wait_for

from litehrnet import PoseEstimator, read_image, write_image
from litehrnet.inference.batching import CropJob, cut_crops
from litehrnet.inference.estimator import is_seen
from litehrnet.io.images import encode_image
from litehrnet.keypoints.boxes import PADDING, centers_and_scales
from litehrnet.keypoints.codec import HeatmapCodec, blur_taps, decode, heatmap_to_image
from litehrnet.keypoints.crop import crop_matrices, udp_crop_matrices, warp
from litehrnet.keypoints.skeletons import unnamed
from litehrnet.poses import Poses
from litehrnet.runtimes.native import open_native
from litehrnet.serving.content import LatestFrame
from litehrnet.serving.http import Site
from litehrnet.serving.liveview import EXAMPLE, open_model, page_answers
from litehrnet.serving.show import open_show

pytestmark = pytest.mark.slow

WITHIN = 0.05
"""Pixels."""
NOTHING = "\N{EN DASH}"
"""Where the page shows no number."""


@pytest.fixture(scope="module")
def site(rounded_program: Path) -> Iterator[Site]:
    with Site(page_answers(open_model(rounded_program)), port=0) as opened:
        yield opened


@pytest.fixture(scope="module")
def browser(programs: dict[str, str], site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """The page, opened, with the network loaded."""
    with open_page(programs, site.url, read_image(EXAMPLE), tmp_path_factory.mktemp("camera")) as opened:
        yield opened


def _codec(codec: HeatmapCodec) -> dict[str, Any]:
    """As the page is told."""
    return {"kind": codec.kind, "blur_taps": blur_taps(codec.blur_kernel).tolist()}


def _shown(browser: Browser) -> NDArray[np.float64]:
    """(keypoints, 3): score, x, y of the page's table; not a number where it shows none."""
    code = "return [...document.querySelectorAll('#keypoints data')].map((data) => parseFloat(data.value))"
    values = browser.execute_script(code)
    return np.array([np.nan if value is None else value for value in values]).reshape(-1, 3)


def _load(browser: Browser, path: Path) -> NDArray[np.float64]:
    """Give the page a file, and wait for its keypoints."""
    browser.execute_script("for (const data of document.querySelectorAll('#keypoints data')) data.value = ''")
    browser.find_element(By.ID, "file").send_keys(str(path))
    wait_for(lambda: bool(np.isfinite(_shown(browser)).all()))
    return _shown(browser)


def _expected(rounded_program: Path, path: Path) -> NDArray[np.float64]:
    poses = PoseEstimator(rounded_program, threads=1, whole_image=True).predict(path)
    return np.concatenate([poses.scores[0][:, None], poses.keypoints[0]], axis=1).astype(float)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """The astronaut without loss, so that browser and Python look at the same pixels."""
    path = tmp_path / "photo.png"
    write_image(path, read_image(EXAMPLE))
    return path


def test_nothing_comes_from_elsewhere(browser: Browser, site: Site) -> None:
    code = "return performance.getEntriesByType('resource').map((entry) => entry.name)"
    addresses = browser.execute_script(code)
    assert f"{site.url}litehrnet/engine_relaxed.wasm" in addresses
    assert all(address.startswith(site.url) for address in addresses)


def _moved_by_rounding(heatmaps: NDArray[np.float32], codec: HeatmapCodec) -> NDArray[np.bool_]:
    """(persons, keypoints): whether the last digits of the heatmaps decide about a hundredth of a cell in Python too.

    An untrained network has flat heatmaps, in which two cells may be as high, and a step between cells almost 0 / 0.
    """
    rng = np.random.default_rng(0)
    noise = rng.uniform(-1e-6, 1e-6, (8, *heatmaps.shape)) * np.abs(heatmaps).max()
    points = decode(heatmaps, codec)[0]
    shifts = [np.abs(decode((heatmaps + each).astype(np.float32), codec)[0] - points).max(axis=2) for each in noise]
    return np.asarray(np.max(shifts, axis=0) > 0.003)


@pytest.mark.parametrize("kind", ["default", "dark", "udp"])
def test_on_the_same_crop_the_keypoints_equal_pythons(browser: Browser, rounded_program: Path, kind: Any) -> None:
    runtime = open_native(rounded_program, threads=1)
    boxes = np.array([[0, 0, 512, 512], [100, 10, 250, 480], [-20.5, 300.25, 200, 400]], np.float32)
    centers, scales = centers_and_scales(boxes, runtime.input_size_wh)
    crops = cut_crops(CropJob(read_image(EXAMPLE), centers, scales, None), runtime)
    heatmaps = runtime.forward(crops)
    codec = HeatmapCodec(kind)
    points, scores = decode(heatmaps, codec)
    expected = heatmap_to_image(points, centers, scales, (16, 16), codec)
    clear = ~_moved_by_rounding(heatmaps, codec)
    assert clear.mean() > 0.7
    code = """
        const { load } = await import("/litehrnet/litehrnet.js");
        const { decode } = await import("/litehrnet/codec.js");
        const { centerAndScale, heatmapToImage } = await import("/litehrnet/geometry.js");
        const { network, description: model } = await load("network.litehrnet");
        const found = [];
        for (const [text, box] of given.persons) {
            const heatmaps = network.forward(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)));
            const { points, scores } = decode(heatmaps, given.codec);
            const place = centerAndScale(box, model.input_size_wh, model.padding);
            found.push([heatmapToImage(points, place, heatmaps.size, given.codec.kind), scores]);
        }
        network.close();
        return found;
    """
    persons = [[as_base64(crop), box] for crop, box in zip(crops, boxes.tolist(), strict=True)]
    found = run_script(browser, code, {"persons": persons, "codec": _codec(codec)})
    distances = np.linalg.norm(np.array([person[0] for person in found]) - expected, axis=2)
    assert distances[clear].max() < WITHIN
    np.testing.assert_allclose([person[1] for person in found], scores, atol=1e-4)


@pytest.mark.parametrize("kind", ["default", "dark", "udp"])
def test_heatmaps_of_every_sort_are_read_as_python_reads_them(browser: Browser, kind: Any) -> None:
    """Gaussians anywhere and beyond the border, noise, empty and flat maps, and values that are no numbers."""
    rng = np.random.default_rng(5)
    rows, columns = np.indices((16, 12))
    maps = [rng.normal(0, 0.1, (16, 12)) for _ in range(40)]
    for index in range(30):
        x, y = rng.uniform(-2, 13), rng.uniform(-2, 17)
        maps[index] *= 0.1 * (index % 2)
        maps[index] += np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * rng.uniform(0.5, 3) ** 2))
    maps += [np.zeros((16, 12)), np.full((16, 12), -1.0)]
    maps[3][0, 0], maps[4][5, 5] = np.nan, np.inf
    heatmaps = np.array(maps, np.float32)[None]
    codec = HeatmapCodec(kind)
    points, scores = decode(heatmaps, codec)
    code = """
        const { decode } = await import("/litehrnet/codec.js");
        const data = new Float32Array(Uint8Array.from(atob(given.heatmaps), (c) => c.charCodeAt(0)).buffer);
        const { points, scores } = decode({ data, size: [12, 16] }, given.codec);
        return [points, scores];
    """
    found, found_scores = run_script(browser, code, {"heatmaps": as_base64(heatmaps), "codec": _codec(codec)})
    np.testing.assert_allclose(found_scores, scores[0], atol=1e-6)
    np.testing.assert_allclose(found, points[0], atol=1e-3)


@pytest.mark.parametrize("kind", ["default", "udp"])
def test_crops_equal_pythons(browser: Browser, tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(7)
    image = read_image(EXAMPLE)
    boxes = np.concatenate([rng.uniform(-50, 400, (6, 2)), rng.uniform(20, 500, (6, 2))], axis=1).astype(np.float32)
    size = (48, 64)
    centers, scales = centers_and_scales(boxes, size)
    matrices = (udp_crop_matrices if kind == "udp" else crop_matrices)(centers, scales, size)
    photo = tmp_path / "photo.png"
    write_image(photo, image)
    code = """
        const { centerAndScale, cropMatrix, regionOf, warp } = await import("/litehrnet/geometry.js");
        const { openPhoto } = await import("/litehrnet/picture.js");
        const { photo, boxes, size, padding, kind } = given;
        const bytes = Uint8Array.from(atob(photo), (c) => c.charCodeAt(0));
        const picture = await openPhoto(new Blob([bytes], { type: "image/png" }), "photo.png");
        return boxes.map((box) => {
            const matrix = cropMatrix(centerAndScale(box, size, padding), size, kind);
            const region = regionOf(matrix, size, picture.size);
            return [matrix, [...warp(picture.pixels(region), matrix, size, [region.x, region.y])]];
        });
    """
    given = {"photo": as_base64(np.frombuffer(photo.read_bytes(), np.uint8)), "boxes": boxes.tolist()}
    given |= {"size": size, "padding": PADDING, "kind": kind}
    for matrix, (found, crop) in zip(matrices, run_script(browser, code, given), strict=True):
        np.testing.assert_allclose(np.array(found).reshape(2, 3), matrix, rtol=1e-12, atol=1e-12)
        difference = np.abs(np.array(crop).reshape(64, 48, 3) - warp(image, matrix, size).astype(int))
        # A sum that is rounded up here and down there.
        assert difference.max() <= 1


def test_a_photo_gets_the_keypoints_that_predict_finds(browser: Browser, rounded_program: Path, photo: Path) -> None:
    found, expected = _load(browser, photo), _expected(rounded_program, photo)
    assert np.abs(found[:, 1:] - expected[:, 1:]).max() < WITHIN
    assert np.abs(found[:, 0] - expected[:, 0]).max() < 0.01
    assert float(text_of(browser, "total")) > 0
    assert text_of(browser, "fps") == NOTHING


def test_whether_somebody_is_there_is_decided_as_in_python(browser: Browser) -> None:
    code = """
        const { isSeen } = await import("/litehrnet/pose.js");
        return given.map((scores) => isSeen({ scores }, 0.2));
    """
    for count in (1, 2, 4, 17):
        kind = unnamed(count)
        scores = np.where(np.arange(count) < np.arange(count + 1)[:, None], 0.5, 0.1).astype(np.float32)
        persons = len(scores)
        boxes, sure = np.zeros((persons, 4), np.float32), np.ones(persons, np.float32)
        poses = Poses(np.zeros((persons, count, 2), np.float32), scores, boxes, sure, kind)
        assert run_script(browser, code, scores.tolist()) == is_seen(poses).tolist()


def test_a_turned_photo_stands_upright(browser: Browser, rounded_program: Path, tmp_path: Path) -> None:
    """With the orientation of a phone held upright: 6 of Exif."""
    jpeg = encode_image(np.ascontiguousarray(np.rot90(read_image(EXAMPLE)[:, 100:400])), ".jpg", 95)
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    path = tmp_path / "turned.jpg"
    path.write_bytes(jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:])
    assert read_image(path).shape == (512, 300, 3)
    _load(browser, path)
    code = "const { width, height } = document.getElementById('canvas'); return width / height"
    assert browser.execute_script(code) == pytest.approx(300 / 512, abs=1e-3)


def test_a_box_is_dragged_and_taken_away(browser: Browser, photo: Path) -> None:
    whole = _load(browser, photo)
    canvas = browser.find_element(By.ID, "canvas")
    drag = ActionChains(browser).move_to_element_with_offset(canvas, -150, -250).click_and_hold()
    drag.move_by_offset(100, 200).move_by_offset(100, 250).release().perform()
    wait_for(lambda: bool(np.abs(_shown(browser) - whole).max() > 1))
    boxed = _shown(browser)
    # The box lies about the middle, 200 by 450 shown pixels; its crop is padded by a quarter.
    assert np.ptp(boxed[:, 2]) < 512
    button = browser.find_element(By.ID, "whole")
    assert button.is_enabled()
    button.click()
    wait_for(lambda: bool(np.abs(_shown(browser) - whole).max() == 0))
    assert not button.is_enabled()


def test_the_heatmap_of_a_chosen_keypoint_is_laid_over_the_picture(browser: Browser, photo: Path) -> None:
    _load(browser, photo)
    code = """
        const canvas = document.getElementById("canvas");
        const pixels = () =>
            new Uint32Array(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.buffer);
        const changed = (a, b) => a.reduce((sum, value, i) => sum + (value !== b[i]), 0);
        const inputs = document.querySelectorAll("#keypoints input");
        const before = pixels();
        inputs[3].click();
        const first = pixels();
        inputs[4].click();
        const second = pixels();
        const chosen = [...inputs].map((input) => input.checked);
        inputs[4].click();
        return [changed(before, first), changed(first, second), changed(before, pixels()), chosen];
    """
    first, second, after, chosen = run_script(browser, code)
    assert first > 1000
    assert second > 1000
    assert after == 0
    assert chosen == [number == 4 for number in range(17)]


def test_the_camera_is_looked_at_until_it_is_stopped(browser: Browser) -> None:
    button = browser.find_element(By.ID, "camera")
    button.click()
    follow = browser.find_element(By.ID, "follow")
    wait_for(follow.is_displayed)
    follow.click()  # from then on, the whole picture is looked at
    browser.find_element(By.ID, "canvas").click()
    wait_for(lambda: text_of(browser, "fps") not in ("", NOTHING))
    assert float(text_of(browser, "fps")) > 0
    assert np.isfinite(_shown(browser)).all()
    # The film shows the astronaut: so does the crop, but for what the camera's colors lose.
    code = """
        const crop = document.getElementById("crop");
        return [...crop.getContext("2d").getImageData(0, 0, crop.width, crop.height).data];
    """
    crop = np.array(run_script(browser, code)).reshape(64, 64, 4)[..., :3]
    centers, scales = centers_and_scales(np.array([[0, 0, 512, 512]]), (64, 64))
    expected = warp(read_image(EXAMPLE), crop_matrices(centers, scales, (64, 64))[0], (64, 64))
    assert np.abs(crop - expected.astype(int)).mean() < 6
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    assert button.get_attribute("aria-pressed") == "false"


def test_what_is_no_picture_is_said_in_one_sentence(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "notes.jpg"
    path.write_text("no picture")
    browser.find_element(By.ID, "file").send_keys(str(path))
    wait_for(lambda: text_of(browser, "error") == "notes.jpg: not a picture that this browser reads.")


def test_the_command_serves_until_it_is_interrupted(programs: dict[str, str], rounded_program: Path) -> None:
    command = [sys.executable, "-m", "litehrnet", "serve", str(rounded_program), "--whole-image", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert (
            running.stdout.readline() == f"weights: {rounded_program} (random numbers), input 64x64 (width x height)\n"
        )
        assert running.stdout.readline().startswith("runtime: native ")
        assert running.stdout.readline().startswith("no detector: ")
        address, _, rest = running.stdout.readline().partition(" ")
        assert rest == "shows the live view\n"
        with urllib.request.urlopen(address, timeout=60) as answer:
            assert b"<title>litehrnet live view</title>" in answer.read()
        running.send_signal(signal.SIGINT)
        assert running.wait(60) == 0


def test_a_film_is_shown_while_it_is_made(browser: Browser) -> None:
    frames = LatestFrame()

    def publish_until_shown(width: int) -> None:
        def shown() -> bool:
            frames.publish(encode_image(np.zeros((30, width, 3), np.uint8), ".jpg", 90))
            return bool(browser.execute_script("return document.querySelector('img')?.naturalWidth") == width)

        wait_for(shown)

    with open_show(frames) as show:
        frames.publish(encode_image(np.zeros((30, 20, 3), np.uint8), ".jpg", 90))
        browser.get(show.url)
        publish_until_shown(40)
        publish_until_shown(60)
        frames.end()


def test_nothing_was_complained_about(browser: Browser) -> None:
    log = browser.get_log("browser")  # type: ignore[no-untyped-call]
    assert not [entry for entry in log if entry["level"] == "SEVERE"]
