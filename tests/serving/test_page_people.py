"""The page with a detector, in Debian's Chromium: everyone is found as in Python."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from selenium.webdriver.common.by import By
from tests.serving.browsers import Browser, as_base64, open_page, run_script, text_of, wait_for

from litehrnet import PoseEstimator, read_image, write_image
from litehrnet.detection.letterbox import letterbox
from litehrnet.detection.maps import decode, suppress
from litehrnet.keypoints.boxes import PIXEL_STD
from litehrnet.keypoints.crop import MEAN_COLOR
from litehrnet.keypoints.oks import oks_nms
from litehrnet.keypoints.skeletons import COCO
from litehrnet.serving.http import Site
from litehrnet.serving.liveview import (
    GROUP_EXAMPLE,
    describe,
    open_model,
    open_page_detector,
    page_answers,
)
from litehrnet.weights.zoo import DEFAULT_WEIGHTS

pytestmark = pytest.mark.slow

PEOPLE = 3
"""People in the example."""


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    detector = open_page_detector(None, COCO)
    with Site(page_answers(open_model(DEFAULT_WEIGHTS), detector), port=0) as opened:
        yield opened


@pytest.fixture(scope="module")
def browser(programs: dict[str, str], site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    # Chromium's film for the camera shows nothing at odd sizes.
    height, width = (side // 4 * 4 for side in read_image(GROUP_EXAMPLE).shape[:2])
    frame = np.ascontiguousarray(read_image(GROUP_EXAMPLE)[:height, :width])
    with open_page(programs, site.url, frame, tmp_path_factory.mktemp("camera")) as opened:
        yield opened


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example without loss, so that browser and Python look at the same pixels."""
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    write_image(path, read_image(GROUP_EXAMPLE))
    return path


def _detector() -> dict[str, Any]:
    """What the page is told of the bundled detector."""
    told: dict[str, Any] = describe(open_model(DEFAULT_WEIGHTS), open_page_detector(None, COCO))["detector"]
    return told


def _load(browser: Browser, path: Path) -> None:
    """Give the page a file, and wait until the people are counted."""
    browser.execute_script("document.getElementById('count').value = ''")
    browser.find_element(By.ID, "file").send_keys(str(path))
    wait_for(lambda: text_of(browser, "count") != "")


def _shown(browser: Browser) -> np.ndarray:
    """(keypoints, 3): score, x, y of the page's table."""
    code = "return [...document.querySelectorAll('#keypoints data')].map((data) => parseFloat(data.value))"
    return np.array(browser.execute_script(code), float).reshape(-1, 3)


def test_maps_become_the_boxes_that_python_finds(browser: Browser) -> None:
    """Noise of many peaks, and whole numbers, in which neighbors are equal."""
    rng = np.random.default_rng(0)
    maps = rng.normal(-2, 1.5, (6, 5, 24, 40)).astype(np.float32)
    maps[4:] = maps[4:].round()
    code = """
        const { decodeBoxes, suppress } = await import("/litehrnet/detector.js");
        const data = new Float32Array(Uint8Array.from(atob(given.maps), (c) => c.charCodeAt(0)).buffer);
        const size = data.length / given.count;
        return Array.from({ length: given.count }, (_, i) => {
            const maps = { data: data.subarray(i * size, (i + 1) * size), size: [40, 24] };
            const found = decodeBoxes(maps, given.detector);
            return suppress(found, given.detector.max_overlap).map(({ corners, score }) => [...corners, score]);
        });
    """
    detector = _detector()
    given = {"maps": as_base64(maps), "count": len(maps), "detector": detector}
    for each, found in zip(maps, run_script(browser, code, given), strict=True):
        corners, scores = decode(each, detector["min_score"])
        kept = suppress(corners, scores)
        assert len(kept) > 20
        np.testing.assert_allclose(
            found, np.concatenate([corners, scores[:, None]], axis=1)[kept], rtol=1e-4, atol=1e-3
        )


@pytest.mark.parametrize("size_wh", [(640, 425), (51, 37), (320, 320), (1, 1), (33, 700), (1141, 400)])
def test_a_picture_fits_the_detector_as_in_python(browser: Browser, size_wh: tuple[int, int]) -> None:
    width, height = size_wh
    image = np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)
    code = """
        const { letterbox } = await import("/litehrnet/detector.js");
        const data = Uint8Array.from(atob(given.rgba), (c) => c.charCodeAt(0));
        const [width, height] = given.size;
        const picture = { size: given.size, pixels: () => ({ data, width, height }) };
        const { pixels, scale, shift } = letterbox(picture, [320, 320], given.background);
        return [[...pixels], scale, shift];
    """
    rgba = np.dstack([image, np.full((height, width), 255, np.uint8)])
    given = {"rgba": as_base64(rgba), "size": size_wh, "background": MEAN_COLOR}
    pixels, scale, shift = run_script(browser, code, given)
    expected = letterbox(image, (320, 320))
    np.testing.assert_allclose(scale, expected.scale_xy)
    np.testing.assert_array_equal(shift, expected.shift_xy)
    # A sum that is rounded up here and down there.
    assert np.abs(np.array(pixels).reshape(320, 320, 3) - expected.pixels.astype(int)).max() <= 1


def test_nearly_equal_poses_are_dropped_as_in_python(browser: Browser) -> None:
    rng = np.random.default_rng(2)
    first = rng.uniform(0, 100, (4, 17, 2))
    points = np.concatenate([first, first + rng.normal(0, 2, first.shape), first + rng.normal(0, 30, first.shape)])
    scores = rng.uniform(0.3, 1, len(points))
    areas = np.full(len(points), 120.0**2)
    kept = np.sort(oks_nms(points, scores, areas, np.array(COCO.sigmas), 0.9))
    assert 4 < len(kept) < len(points)
    code = """
        const { distinct } = await import("/litehrnet/people.js");
        const same = { scores: Array(17).fill(1), place: { scale: [given.side, given.side] } };
        const poses = given.points.map((points, i) => ({ ...same, i, points, boxScore: given.scores[i] }));
        const model = { sigmas: given.sigmas, counted_score: 0.2, most_similar: 0.9 };
        return distinct(poses, model).map(({ i }) => i);
    """
    given = {"points": points.tolist(), "scores": scores.tolist(), "side": 120 / PIXEL_STD, "sigmas": COCO.sigmas}
    assert run_script(browser, code, given) == kept.tolist()


def test_everyone_gets_the_keypoints_that_predict_finds(browser: Browser, photo: Path) -> None:
    """A click chooses whose keypoints are listed."""
    _load(browser, photo)
    assert text_of(browser, "count") == f"{PEOPLE} people."
    assert float(text_of(browser, "ms-detector")) > 0
    expected = PoseEstimator(threads=1).predict(photo)
    assert len(expected) == PEOPLE
    code = """
        const canvas = document.getElementById("canvas");
        const frame = canvas.getBoundingClientRect();
        const scale = Math.min(frame.width / canvas.width, frame.height / canvas.height) * (canvas.width / given.width);
        const place = {
            clientX: frame.left + frame.width / 2 + (given.point[0] - given.width / 2) * scale,
            clientY: frame.top + frame.height / 2 + (given.point[1] - given.height / 2) * scale,
            pointerId: 1,
        };
        canvas.setPointerCapture = () => {};
        for (const type of ["pointerdown", "pointerup"]) canvas.dispatchEvent(new PointerEvent(type, place));
        delete canvas.setPointerCapture;
    """
    height, width = read_image(photo).shape[:2]
    for box, keypoints, scores in zip(expected.boxes, expected.keypoints, expected.scores, strict=True):
        point = (box[:2] + box[2:] / 2).tolist()
        run_script(browser, code, {"point": point, "width": width, "height": height})
        # Weights of 11 bits and a gray level in the detector's input: parts of a pixel, or another of two peaks.
        errors = np.abs(_shown(browser)[:, 1:] - keypoints)
        assert np.median(errors) < 0.1
        assert (errors[scores >= 0.3] >= 2).any(axis=1).sum() <= 1


def test_a_picture_of_nobody_counts_no_people(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "empty.png"
    write_image(path, np.full((200, 300, 3), 128, np.uint8))
    _load(browser, path)
    assert text_of(browser, "count") == "0 people."
    assert browser.find_element(By.ID, "nobody").is_displayed()


def test_everyone_before_the_camera_is_followed(browser: Browser) -> None:
    button = browser.find_element(By.ID, "camera")
    button.click()
    wait_for(lambda: text_of(browser, "count") == f"{PEOPLE} people.")
    wait_for(lambda: text_of(browser, "fps") not in ("", "\N{EN DASH}"))
    button.click()
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]  # type: ignore[no-untyped-call]


def test_between_two_looks_of_the_detector_boxes_are_around_the_keypoints(browser: Browser) -> None:
    """A detector that finds one person; it looks again after eight frames, and at once when the person is lost."""
    code = """
        const { Follower } = await import("/litehrnet/people.js");
        const { load } = await import("/litehrnet/litehrnet.js");
        const { codec, ...model } = (await load("network.litehrnet")).description;
        const size = [320, 320];
        const pixels = { data: new Uint8Array(4 * 320 * 320), width: 320, height: 320 };
        const picture = { size, pixels: () => pixels };
        const [cells, data] = [80 * 80, new Float32Array(5 * 80 * 80).fill(-9)];
        data[40 * 80 + 40] = 3;
        for (let map = 1; map < 5; map++) data[map * cells + 40 * 80 + 40] = Math.log(50 / 16);
        let looks = 0;
        const network = { forward: async () => (looks++, { data, size: [80, 80] }) };
        const points = Array.from({ length: 17 }, (_, i) => [100 + i, 100 + 2 * i]);
        const follower = new Follower();
        const counts = [];
        for (let frame = 0; frame < 20; frame++) {
            const boxes = await follower.boxes(picture, network, model.detector);
            const score = frame === 12 ? 0 : 0.9; // the keypoints of frame 12 are lost
            const pose = { points, scores: Array(17).fill(score), place: { scale: [0.5, 0.5] } };
            follower.follow([{ ...pose, box: boxes[0].box, boxScore: 0.9 }], model, size);
            counts.push([looks, boxes.length, boxes[0].box[0]]);
        }
        return counts;
    """
    found = np.array(run_script(browser, code))
    assert found[:, 0].tolist() == [1] * 8 + [2] * 5 + [3] * 7
    assert abs(found[0, 2] - 112) < 1e-3  # the detector's box
    assert (np.delete(found[:, 2], [0, 8, 13]) < 100).all()  # around the keypoints
