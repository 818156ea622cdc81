import io
import multiprocessing
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from litehrnet import Photo, PoseEstimator, UserError, make_photo, read_image, write_image
from litehrnet.bench.subject import write_random_weights
from litehrnet.detectors.detections import DetectedBoxes
from litehrnet.inference.batching import CropJob, find_keypoints
from litehrnet.inference.estimator import is_seen
from litehrnet.inference.photo import ImageLike
from litehrnet.keypoints.boxes import centers_and_scales
from litehrnet.keypoints.skeletons import COCO, unnamed
from litehrnet.poses import Poses
from litehrnet.runtimes import open_runtime
from litehrnet.variants import find_variant
from litehrnet.weights.zoo import DEFAULT_DETECTOR


@pytest.fixture(scope="module")
def estimator(small_weights: Path) -> PoseEstimator:
    return PoseEstimator(small_weights, threads=1, whole_image=True)


@pytest.fixture
def photo() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)


class Fixed:
    """A detector that finds the same boxes (x, y, width, height, score) in every photo."""

    def __init__(self, *found: tuple[float, ...]) -> None:
        self.found = np.array(found, np.float32).reshape(-1, 5)

    def detect(self, image: NDArray[np.uint8]) -> DetectedBoxes:
        return DetectedBoxes(self.found[:, :4], self.found[:, 4])


def test_the_bundled_detector_finds_the_people_where_no_other_is_named(
    small_weights: Path, photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def opened(name: object, **settings: object) -> Fixed:
        asked.append((name, settings))
        return Fixed((10, 10, 40, 80, 0.5), (60, 20, 40, 80, 0.4))

    monkeypatch.setattr("litehrnet.inference.estimator.open_detector", opened)
    estimator = PoseEstimator(small_weights, threads=1, min_box_score=0.2)
    assert len(estimator.predict(photo, [[0, 0, 9, 9]])) == 1
    assert estimator.predict(photo).boxes.tolist() == [[10, 10, 40, 80], [60, 20, 40, 80]]
    assert [len(poses) for _, poses in estimator.predict_many([photo, photo])] == [2, 2]
    assert asked == [(DEFAULT_DETECTOR, {"min_score": 0.2, "threads": 1})]


def test_the_bundled_detector_is_not_used_for_other_keypoints_than_those_of_people(
    tmp_path: Path, photo: NDArray[np.uint8]
) -> None:
    write_random_weights(tmp_path / "birds.safetensors", find_variant("naive_lite_hrnet_18"), (64, 64), unnamed(3))
    estimator = PoseEstimator(tmp_path / "birds.safetensors", threads=1)
    assert estimator.detector is None
    assert estimator.predict(photo).boxes.tolist() == [[0, 0, 160, 120]]


def test_settings_that_contradict_each_other_are_refused(small_weights: Path) -> None:
    with pytest.raises(UserError, match="whole_image: uses no detector, and one is given"):
        PoseEstimator(small_weights, whole_image=True, detector=Fixed())
    with pytest.raises(UserError, match="min_box_score: only works with a detector that is opened here"):
        PoseEstimator(small_weights, min_box_score=0.5, detector=Fixed())


def test_one_person_in_two_detected_boxes_is_found_once(small_weights: Path, photo: NDArray[np.uint8]) -> None:
    """As in the published protocol; given boxes are all kept, as they are somebody's word."""
    boxes = [(20, 20, 60, 90, 0.5), (20, 20, 60, 90, 0.9), (90, 10, 40, 60, 0.7)]
    poses = PoseEstimator(small_weights, threads=1, detector=Fixed(*boxes)).predict(photo)
    assert poses.box_scores.tolist() == pytest.approx([0.9, 0.7])
    given = PoseEstimator(small_weights, threads=1).predict(photo, [box[:4] for box in boxes])
    assert len(given) == 3


def test_only_so_many_people_as_asked_for(small_weights: Path, photo: NDArray[np.uint8]) -> None:
    boxes = [(20, 20, 60, 90, 0.5), (90, 10, 40, 60, 0.7), (0, 0, 30, 50, 0.6)]
    estimator = PoseEstimator(small_weights, threads=1, detector=Fixed(*boxes), max_persons=2)
    assert estimator.predict(photo).box_scores.tolist() == pytest.approx([0.7, 0.6])
    assert len(estimator.predict(photo, [[0, 0, 9, 9]] * 3)) == 3  # given boxes are all kept


def test_many_photos_may_be_names_arrays_and_photos(
    estimator: PoseEstimator, photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    write_image(tmp_path / "photo.png", photo)
    own = make_photo(photo, [[0, 0, 9, 9]], name="own")
    given: list[Photo | ImageLike] = [tmp_path / "photo.png", str(tmp_path / "photo.png"), photo, own]
    found = list(estimator.predict_many(given))
    assert [each.name for each, _ in found] == [str(tmp_path / "photo.png")] * 2 + ["image", "own"]
    for _, poses in found[:3]:
        np.testing.assert_array_equal(poses.keypoints, estimator.predict(photo).keypoints)
    with pytest.raises(UserError, match=r"none.png: no such file"):
        list(estimator.predict_many([tmp_path / "none.png"]))


def test_every_kind_of_image_gives_the_keypoints_of_the_file(
    estimator: PoseEstimator, photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    torch, pil = pytest.importorskip("torch"), pytest.importorskip("PIL.Image")
    path = tmp_path / "photo.png"
    write_image(path, photo)
    expected = estimator.predict(path)
    tensor = torch.from_numpy(photo).permute(2, 0, 1)
    kinds = [
        str(path),
        path.read_bytes(),
        io.BytesIO(path.read_bytes()),
        pil.open(path),
        pil.fromarray(photo).convert("RGBA"),
        photo,
        np.dstack([photo, photo[..., 0]]),
        photo.astype(np.float32),
        photo / 255,
        tensor,
        tensor.permute(1, 2, 0),
        tensor / 255,
    ]
    for image, poses in zip(kinds, estimator.predict_many(kinds), strict=True):
        np.testing.assert_array_equal(poses[1].keypoints, expected.keypoints, str(type(image)))
    bgr = np.ascontiguousarray(photo[..., ::-1])
    for found in (estimator.predict(bgr, channels="bgr"), next(estimator.predict_many([bgr], channels="bgr"))[1]):
        np.testing.assert_array_equal(found.scores, expected.scores)
    boxes = [[10, 10, 50, 80]]
    given = estimator.predict(bgr, boxes, channels="bgr")
    np.testing.assert_array_equal(given.scores, estimator.predict(photo, boxes).scores)
    for gray in (photo[..., 0], photo[..., :1], photo[None, ..., 0]):
        same = estimator.predict(photo[..., :1].repeat(3, axis=2))
        np.testing.assert_array_equal(estimator.predict(gray).keypoints, same.keypoints)


def test_many_photos_may_be_tuples_with_boxes_and_scores(estimator: PoseEstimator, photo: NDArray[np.uint8]) -> None:
    boxes, scores = [[10, 10, 50, 80], [0, 0, 40, 40]], [0.5, 0.25]
    bgr = np.ascontiguousarray(photo[..., ::-1])
    found = [poses for _, poses in estimator.predict_many([(bgr, boxes), (bgr, boxes, scores), (bgr, None)], "bgr")]
    alone = [estimator.predict(photo, boxes), estimator.predict(photo, boxes, scores), estimator.predict(photo)]
    for poses, expected in zip(found, alone, strict=True):
        np.testing.assert_array_equal(poses.keypoints, expected.keypoints)
        np.testing.assert_array_equal(poses.box_scores, expected.box_scores)
    for wrong in ((photo,), (photo, boxes, scores, 1)):
        with pytest.raises(UserError, match=rf"^image: a tuple of {len(wrong)} \(expected an image, its boxes"):
            next(estimator.predict_many([wrong]))


@pytest.mark.parametrize("runtime", ["native", "torch", "onnxruntime", "openvino"])
def test_an_estimator_is_pickled_without_its_weights_and_finds_the_same(
    small_weights: Path, small_onnx: Path, photo: NDArray[np.uint8], runtime: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(runtime) if runtime != "native" else None
    weights = small_onnx if runtime in ("onnxruntime", "openvino") else small_weights
    monkeypatch.chdir(weights.parent)
    estimator = PoseEstimator(weights.name, runtime, threads=1, detector=Fixed((10, 10, 40, 80, 0.5)), flip_test=True)
    expected = estimator.predict(photo)
    pickled = pickle.dumps(estimator)
    assert runtime == "torch" or len(pickled) < 5000
    monkeypatch.chdir("/")
    again: PoseEstimator = pickle.loads(pickled)
    assert again.runtime.description == estimator.runtime.description
    np.testing.assert_array_equal(again.predict(photo).keypoints, expected.keypoints)


def test_a_pool_of_processes_may_be_given_an_estimator(small_weights: Path, shared: Path) -> None:
    estimator = PoseEstimator(small_weights, threads=1)  # with the bundled detector
    photos = sorted((shared / "data" / "coco_dev" / "images").iterdir())[:3]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        for photo, found in zip(photos, pool.map(estimator.predict, photos), strict=True):
            np.testing.assert_array_equal(found.keypoints, estimator.predict(photo).keypoints)


def test_weights_that_are_gone_when_an_estimator_is_unpickled_are_one_sentence(
    small_weights: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copy(small_weights, tmp_path / "copy.safetensors"))
    pickled = pickle.dumps(PoseEstimator(copy, "native", threads=1, whole_image=True))
    copy.unlink()
    with pytest.raises(UserError, match=r"copy\.safetensors: no such file"):
        pickle.loads(pickled)


def test_threads_and_batches_change_nothing(small_weights: Path, photo: NDArray[np.uint8]) -> None:
    boxes = np.array([[x, 5, 40, 90] for x in range(0, 110, 10)], np.float32)
    one = PoseEstimator(small_weights, threads=1)
    expected = one.predict(photo, boxes)
    np.testing.assert_array_equal(PoseEstimator(small_weights, threads=2).predict(photo, boxes).scores, expected.scores)
    centers, scales = centers_and_scales(boxes, one.runtime.input_size_wh)
    for batch_size in (1, 3, 64):
        job = CropJob(photo, centers, scales, None)
        ((_, found),) = find_keypoints(one.runtime, [job], flip_test=False, batch_size=batch_size)
        np.testing.assert_array_equal(found.scores, expected.scores)
        np.testing.assert_array_equal(found.image_xy, expected.keypoints)


@pytest.mark.parametrize(("sure", "seen"), [(0, False), (4, False), (5, True), (17, True)])
def test_somebody_is_seen_by_a_quarter_of_the_keypoints(sure: int, seen: bool) -> None:
    scores = np.where(np.arange(17) < sure, 0.2, 0.19).astype(np.float32)[None]
    poses = Poses(np.zeros((1, 17, 2), np.float32), scores, np.zeros((1, 4), np.float32), np.ones(1, np.float32), COCO)
    assert is_seen(poses).tolist() == [seen]


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


def test_flip_test_of_a_mirrored_photo_mirrors_the_heatmaps(small_weights: Path, photo: NDArray[np.uint8]) -> None:
    """Averaged with its mirror image, a crop about the middle of the photo is the same both ways, left for right."""
    flipping = PoseEstimator(small_weights, flip_test=True, threads=1, whole_image=True)
    poses = flipping.predict(photo)
    single = PoseEstimator(small_weights, threads=1, whole_image=True).predict(photo)
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


def test_box_scores_must_fit_the_boxes(photo: NDArray[np.uint8]) -> None:
    with pytest.raises(UserError, match="box scores"):
        make_photo(photo, [[0, 0, 9, 9]], box_scores=[0.5, 0.6])
    with pytest.raises(UserError, match="box scores"):
        make_photo(photo, [[0, 0, 9, 9]], box_scores=[float("nan")])


def test_unknown_and_unfit_runtimes_are_errors(small_weights: Path) -> None:
    with pytest.raises(UserError, match="tensorrt: unknown runtime"):
        PoseEstimator(small_weights, "tensorrt")
    with pytest.raises(UserError, match="onnxruntime runs ONNX models"):
        PoseEstimator(small_weights, "onnxruntime")


def test_an_opened_runtime_is_used_as_it_is(small_weights: Path, photo: NDArray[np.uint8]) -> None:
    runtime = open_runtime(small_weights, threads=1)
    estimator = PoseEstimator(runtime, whole_image=True)
    assert estimator.runtime is runtime
    expected = PoseEstimator(small_weights, threads=1, whole_image=True).predict(photo)
    np.testing.assert_array_equal(estimator.predict(photo).keypoints, expected.keypoints)
    with pytest.raises(UserError, match="an opened runtime has its settings already"):
        PoseEstimator(runtime, "torch")
    with pytest.raises(UserError, match="an opened runtime has its settings already"):
        PoseEstimator(runtime, precision="bf16")


def test_input_size_may_be_any_pair_of_whole_numbers(small_weights: Path) -> None:
    for size in ([64, 64], (64, 64)):
        assert PoseEstimator(small_weights, input_size_wh=size, whole_image=True).runtime.input_size_wh == (64, 64)
    for wrong in ([64], [64, 64, 3], [64.5, 64], "64x64", 64):
        with pytest.raises(UserError, match=r"input_size_wh .*: not a size \(expected a width and a height"):
            PoseEstimator(small_weights, input_size_wh=wrong)  # type: ignore[arg-type]


def test_input_size_that_contradicts_the_file_is_an_error(small_weights: Path) -> None:
    with pytest.raises(UserError, match=r"input size is 64x64 \(width x height\) and cannot be changed to 96x128"):
        PoseEstimator(small_weights, input_size_wh=(96, 128))


def test_keypoints_of_a_real_photo_lie_on_its_person(shared: Path, small_weights: Path) -> None:
    """Not their accuracy, which needs trained weights: that crop and photo agree on where things are."""
    file = shared / "data" / "coco_dev" / "images" / "000000000785.jpg"
    height, width = read_image(file).shape[:2]
    box = [280, 44, 218, 346]
    poses = PoseEstimator(small_weights, threads=1).predict(file, [box])
    found = poses.scores[0] > 0  # a heatmap that is nowhere positive has its peak outside, as published
    assert found.sum() > 5
    x, y = poses.keypoints[0][found].T
    # The crop is the box grown to the input's shape, times 1.25.
    side = 1.25 * max(box[2], box[3])
    assert abs(x - (280 + 109)).max() <= side / 2 + 1
    assert abs(y - (44 + 173)).max() <= side / 2 + 1
    assert (width, height) == (640, 425)
