from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from litehrnet import PoseEstimator, UserError, make_photo, read_image, write_image


@pytest.fixture(scope="module")
def estimator(small_onnx: Path) -> PoseEstimator:
    return PoseEstimator(small_onnx, threads=1, whole_image=True)


@pytest.fixture
def photo() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)


def test_without_boxes_the_whole_picture_is_one_person(estimator: PoseEstimator, photo: NDArray[np.uint8]) -> None:
    poses = estimator.predict(photo)
    assert poses.keypoints.shape == (1, 17, 2)
    assert poses.boxes.tolist() == [[0, 0, 160, 120]]
    assert poses.box_scores.tolist() == [1]
    assert poses.keypoint_set.name == "coco"


def test_no_persons_are_no_poses(estimator: PoseEstimator, photo: NDArray[np.uint8]) -> None:
    assert len(estimator.predict(photo, boxes=[])) == 0
    assert len(estimator.predict(photo, boxes=np.zeros((0, 4)))) == 0
    assert list(estimator.predict_many([])) == []


def test_file_and_array_give_the_same_poses(estimator: PoseEstimator, photo: NDArray[np.uint8], tmp_path: Path) -> None:
    write_image(tmp_path / "photo.png", photo)
    box = [[10, 10, 50, 80]]
    from_file, from_array = estimator.predict(tmp_path / "photo.png", box), estimator.predict(photo, box)
    np.testing.assert_array_equal(from_file.keypoints, from_array.keypoints)
    np.testing.assert_array_equal(from_file.scores, from_array.scores)


def test_batch_over_photos_equals_single_photos(estimator: PoseEstimator, photo: NDArray[np.uint8]) -> None:
    boxes = [[[0, 0, 40, 90]], [], [[20, 20, 60, 60], [80, 10, 50, 100]]]
    photos = [make_photo(photo, own, name=str(i)) for i, own in enumerate(boxes)]
    together = list(estimator.predict_many(photos))
    assert [p.name for p, _ in together] == ["0", "1", "2"]
    for own, (_, poses) in zip(boxes, together, strict=True):
        np.testing.assert_array_equal(poses.keypoints, estimator.predict(photo, own).keypoints)


def test_flip_test_of_a_mirrored_photo_mirrors_the_heatmaps(small_onnx: Path, photo: NDArray[np.uint8]) -> None:
    """Averaged with its mirror image, a crop about the middle of the photo is the same both ways, left for right."""
    flipping = PoseEstimator(small_onnx, flip_test=True, threads=1, whole_image=True)
    poses = flipping.predict(photo)
    single = PoseEstimator(small_onnx, threads=1, whole_image=True).predict(photo)
    assert not np.array_equal(poses.scores, single.scores)
    mirrored = flipping.predict(np.ascontiguousarray(photo[:, ::-1]))
    order = poses.keypoint_set.flip_order
    # The mirrored heatmap is shifted by one cell, and the crop is not symmetric to the pixel: scores, not places.
    np.testing.assert_allclose(mirrored.scores[:, order], poses.scores, rtol=0.2, atol=0.05)


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ([[0, 0, 0, 10]], "photo: box 0 .* width and height above 0"),
        ([[0, 0, float("nan"), 10]], "photo: box 0 .* finite"),
        ([[10, 10, 5, 5], [500, 0, 10, 10]], "photo: box 1 .* overlap the image of 160x120"),
        ([[1, 2, 3]], "photo: boxes have the shape"),
        ("hello", "photo: boxes are not a table of numbers"),
    ],
)
def test_bad_boxes_are_refused(photo: NDArray[np.uint8], box: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_photo(photo, box, name="photo")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((4,), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_arrays_that_are_no_rgb_image_are_refused(image: NDArray[np.uint8]) -> None:
    with pytest.raises(UserError, match=r"expected uint8 \(H, W, 3\), RGB"):
        make_photo(image)


def test_box_scores_must_fit_the_boxes(photo: NDArray[np.uint8]) -> None:
    with pytest.raises(UserError, match="box scores"):
        make_photo(photo, [[0, 0, 9, 9]], box_scores=[0.5, 0.6])
    with pytest.raises(UserError, match="box scores"):
        make_photo(photo, [[0, 0, 9, 9]], box_scores=[float("nan")])


def test_unknown_and_unfit_runtimes_are_errors(small_onnx: Path) -> None:
    with pytest.raises(UserError, match="tensorrt: no such runtime"):
        PoseEstimator(small_onnx, "tensorrt")
    with pytest.raises(UserError, match="torch does not run ONNX models"):
        PoseEstimator(small_onnx, "torch")


def test_input_size_that_contradicts_the_file_is_an_error(small_onnx: Path) -> None:
    with pytest.raises(UserError, match=r"is for 64x64 input \(width x height\), not 96x128"):
        PoseEstimator(small_onnx, input_size_wh=(96, 128))


def test_keypoints_of_a_real_photo_lie_on_its_person(shared: Path, small_onnx: Path) -> None:
    """Not their accuracy, which needs trained weights: that crop and photo agree on where things are."""
    file = shared / "data" / "coco_dev" / "images" / "000000000785.jpg"
    height, width = read_image(file).shape[:2]
    box = [280, 44, 218, 346]
    poses = PoseEstimator(small_onnx, threads=1).predict(file, [box])
    found = poses.scores[0] > 0  # a heatmap that is nowhere positive has its peak outside, as published
    assert found.sum() > 5
    x, y = poses.keypoints[0][found].T
    # The crop is the box grown to the input's shape, times 1.25.
    side = 1.25 * max(box[2], box[3])
    assert abs(x - (280 + 109)).max() <= side / 2 + 1
    assert abs(y - (44 + 173)).max() <= side / 2 + 1
    assert (width, height) == (640, 425)
