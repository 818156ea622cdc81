from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from litehrnet.errors import UserError
from litehrnet.evaluation.mpii_submission import read_test_photos
from litehrnet.evaluation.pckh import prediction_mat

ANNOTATIONS = Path("mpii_test.json")


def struct(**fields: Any) -> np.ndarray:
    """A one-by-one struct as SciPy writes and reads it."""
    array = np.empty((1, 1), dtype=[(name, "O") for name in fields])
    array[0, 0] = tuple(fields.values())
    return array


def structs(entries: list[dict[str, Any]]) -> np.ndarray:
    """A struct array; one without entries has no fields, as in MPII's file."""
    if not entries:
        return np.zeros((0, 0))
    return np.concatenate([struct(**entry) for entry in entries], axis=1)


def place(x: float, y: float) -> dict[str, Any]:
    return {"scale": 3.0, "objpos": struct(x=x, y=y)}


NOWHERE: dict[str, Any] = {"scale": np.zeros((0, 0)), "objpos": np.zeros((0, 0))}
# Name, used for training, rectangles, single persons counted from 1: as MPII's file has them.
PHOTOS: list[tuple[str, int, list[dict[str, Any]], list[int]]] = [
    ("train.jpg", 1, [place(1, 1)], [1]),
    ("b.jpg", 0, [place(10, 20), NOWHERE, place(30, 40)], [1, 3]),
    ("empty.jpg", 0, [], []),
    ("crowded.jpg", 0, [place(5, 5), place(6, 6)], []),
    ("a.jpg", 0, [place(7, 7), place(8, 8)], [2]),
]


@pytest.fixture
def release(tmp_path: Path) -> Path:
    annolist = [{"image": struct(name=name), "annorect": structs(rects)} for name, _, rects, _ in PHOTOS]
    single = np.empty((len(PHOTOS), 1), dtype="O")
    for i, photo in enumerate(PHOTOS):
        single[i, 0] = np.array(photo[3], np.uint8)[:, None]
    path = tmp_path / "mpii_human_pose_v1_u12_1.mat"
    img_train = np.array([[photo[1] for photo in PHOTOS]], np.uint8)
    savemat(path, {"RELEASE": struct(annolist=structs(annolist), img_train=img_train, single_person=single)})
    return path


# The annotations' own order: persons of a photo in turn, photos in another order than MPII's.
NAMES = ["a.jpg", "b.jpg", "b.jpg"]
PREDICTED = np.arange(3 * 16 * 2, dtype=np.float64).reshape(3, 16, 2)


@pytest.fixture
def pred(release: Path, tmp_path: Path) -> Any:
    """``pred`` of the written file, read with attributes for fields, as MPII's evaluation sees it."""
    path = tmp_path / "pred.mat"
    path.write_bytes(prediction_mat(PREDICTED, read_test_photos(release, NAMES, ANNOTATIONS)))
    return loadmat(path, struct_as_record=False)["pred"]


def test_every_photo_of_the_test_split_is_there_in_the_order_of_mpii(pred: Any) -> None:
    assert pred.shape == (1, 4)
    names = [photo.image[0, 0].name[0] for photo in pred[0]]
    assert names == ["b.jpg", "empty.jpg", "crowded.jpg", "a.jpg"]
    assert [photo.annorect.size for photo in pred[0]] == [3, 0, 2, 2]


def test_rectangles_keep_their_place_and_scale_which_the_evaluation_looks_for(pred: Any) -> None:
    first, nowhere, third = pred[0, 0].annorect[0]
    assert (first.objpos[0, 0].x[0, 0], third.objpos[0, 0].y[0, 0], third.scale[0, 0]) == (10, 40, 3)
    assert nowhere.objpos.size == nowhere.scale.size == 0


def test_single_persons_have_sixteen_joints_counted_as_mpii_does(pred: Any) -> None:
    b, a = pred[0, 0].annorect[0], pred[0, 3].annorect[0]
    for person, rectangle in ((0, a[1]), (1, b[0]), (2, b[2])):
        points = rectangle.annopoints[0, 0].point[0]
        xy = [(point.x[0, 0], point.y[0, 0]) for point in points]
        np.testing.assert_array_equal(xy, PREDICTED[person] + 1)
        assert [point.id[0, 0] for point in points] == list(range(16))


def test_other_persons_have_no_joints(pred: Any) -> None:
    others = [pred[0, 0].annorect[0, 1], *pred[0, 2].annorect[0], pred[0, 3].annorect[0, 0]]
    assert all(rectangle.annopoints.size == 0 for rectangle in others)


def test_the_published_predictions_stand_beside_them(release: Path, tmp_path: Path) -> None:
    path = tmp_path / "pred.mat"
    path.write_bytes(prediction_mat(PREDICTED, read_test_photos(release, NAMES, ANNOTATIONS)))
    np.testing.assert_array_equal(loadmat(path)["preds"], PREDICTED + 1)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a.jpg", "b.jpg"], r"mpii_test.json: the number of people in b.jpg is 1 \(expected 2, as in"),
        ([*NAMES, "crowded.jpg"], "crowded.jpg is 1 "),
        ([*NAMES, "train.jpg"], r"train.jpg is 1 \(expected 0"),
    ],
)
def test_other_persons_than_those_of_the_test_are_user_errors(release: Path, names: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_test_photos(release, names, ANNOTATIONS)


def test_a_damaged_or_other_file_is_a_user_error(release: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read_test_photos(release.with_name("gone.mat"), NAMES, ANNOTATIONS)
    content = release.read_bytes()
    for damaged in (content[: len(content) // 2], b"", b"MATLAB", content.replace(b"img_train", b"img_tests")):
        release.write_bytes(damaged)
        with pytest.raises(UserError, match="not MPII's annotation file"):
            read_test_photos(release, NAMES, ANNOTATIONS)
