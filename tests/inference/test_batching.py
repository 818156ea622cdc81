"""From photo and box to image coordinates, with a network that is known exactly: it finds the brightest spot."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from litehrnet.inference.batching import CropJob, find_keypoints
from litehrnet.keypoints.boxes import centers_and_scales
from litehrnet.keypoints.codec import HeatmapCodec
from litehrnet.poses import KeypointSet
from litehrnet.weights.weights_file import WeightsInfo

EYES = KeypointSet("eyes", ("left_eye", "right_eye"), ((0, 1),), (), (0.025, 0.025))


class BrightestSpot:
    """A runtime whose heatmaps are the crop itself at a quarter: red for the left eye, green for the right eye."""

    description = "the brightest spot"
    input_size_wh = (96, 128)

    def __init__(self, codec: HeatmapCodec) -> None:
        self.info = WeightsInfo(None, EYES, self.input_size_wh, codec)
        self.batches: list[int] = []

    def resized(self, input_size_wh: tuple[int, int]) -> "BrightestSpot":
        raise NotImplementedError

    def forward(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.batches.append(len(crops))
        # Pixel 4i of the crop is cell i of the heatmap: there is no half-pixel term in the published geometry.
        cells = crops[:, ::4, ::4, :2].astype(np.float32) / 255
        return np.ascontiguousarray(cells.transpose(0, 3, 1, 2))


class Mirrored(BrightestSpot):
    """Calls the eyes as a mirrored picture shows them: the marks have no sides, so red stays the mark of the left."""

    def forward(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        heatmaps = super().forward(crops)
        return heatmaps if len(self.batches) % 2 else np.ascontiguousarray(heatmaps[:, ::-1])


def _image_with_spots(left_xy: tuple[int, int], right_xy: tuple[int, int]) -> NDArray[np.uint8]:
    """A tent around each spot, so that the sampled cell nearest to it is the brightest."""
    y, x = np.mgrid[:240, :320]
    image = np.zeros((240, 320, 3), np.uint8)
    for channel, (cx, cy) in enumerate((left_xy, right_xy)):
        image[..., channel] = np.clip(255 - 4 * np.hypot(x - cx, y - cy), 0, 255)
    return image


def _job(image: NDArray[np.uint8], boxes: list[list[float]], source: str = "") -> CropJob[str]:
    centers, scales = centers_and_scales(np.array(boxes, np.float32).reshape(-1, 4), (96, 128))
    return CropJob(image, centers, scales, source)


@pytest.mark.parametrize("kind", ["default", "dark", "udp"])
@pytest.mark.parametrize("box", [[40, 20, 200, 200], [100, 60, 60, 120], [0, 0, 320, 240]])
def test_a_spot_in_the_photo_is_found_where_it_is(kind: str, box: list[float]) -> None:
    left, right = (150, 100), (128, 140)
    runtime = BrightestSpot(HeatmapCodec(kind))  # type: ignore[arg-type]
    ((_, found),) = find_keypoints(runtime, [_job(_image_with_spots(left, right), [box])], flip_test=False)
    # One cell of the heatmap in the photo; the crop of these boxes is at most 1.25 * 320 pixels wide, 24 cells.
    cell = 1.25 * max(box[2], box[3] * 0.75) / 24
    assert np.linalg.norm(found.image_xy[0] - (left, right), axis=1).max() <= 0.75 * cell


def test_flip_test_finds_the_same_spot() -> None:
    spots = ((150, 100), (128, 140))
    runtime = Mirrored(HeatmapCodec(flip_shift=True))
    ((_, found),) = find_keypoints(runtime, [_job(_image_with_spots(*spots), [[40, 20, 200, 200]])], flip_test=True)
    assert np.linalg.norm(found.image_xy[0] - spots, axis=1).max() <= 12


def test_crops_of_several_photos_share_a_batch_and_come_back_in_order() -> None:
    image = _image_with_spots((150, 100), (128, 140))
    box = [40.0, 20, 200, 200]
    jobs = [_job(image, [box] * count, str(i)) for i, count in enumerate((1, 0, 3, 5, 0, 2))]
    runtime = BrightestSpot(HeatmapCodec())
    results = list(find_keypoints(runtime, jobs, flip_test=False, batch_size=4))
    assert [(job.source, len(found.scores)) for job, found in results] == [
        ("0", 1), ("1", 0), ("2", 3), ("3", 5), ("4", 0), ("5", 2),
    ]  # fmt: skip
    assert runtime.batches == [4, 4, 1, 2]


@given(st.lists(st.integers(0, 5), max_size=6), st.integers(1, 7))
def test_a_batch_gives_what_single_crops_give(counts: list[int], batch_size: int) -> None:
    rng = np.random.default_rng(len(counts))
    image = rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)
    boxes = [[[*rng.uniform(0, 30, 2), *rng.uniform(5, 60, 2)] for _ in range(count)] for count in counts]
    runtime = BrightestSpot(HeatmapCodec())
    jobs = [_job(image, b) for b in boxes]
    batched = [f for _, f in find_keypoints(runtime, jobs, flip_test=False, batch_size=batch_size)]
    for own_boxes, found in zip(boxes, batched, strict=True):
        for i, box in enumerate(own_boxes):
            ((_, single),) = find_keypoints(runtime, [_job(image, [box])], flip_test=False)
            np.testing.assert_array_equal(found.image_xy[i], single.image_xy[0])
            np.testing.assert_array_equal(found.scores[i], single.scores[0])


def test_photos_are_read_no_further_ahead_than_a_batch_needs() -> None:
    image = np.zeros((20, 20, 3), np.uint8)
    read = []

    def jobs() -> Iterator[CropJob[str]]:
        for number in range(10):
            read.append(number)
            yield _job(image, [[0, 0, 20, 20]], str(number))

    results = find_keypoints(BrightestSpot(HeatmapCodec()), jobs(), flip_test=False, batch_size=3)
    next(results)
    assert read == [0, 1, 2]
