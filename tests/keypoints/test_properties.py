"""Properties of arbitrary boxes, crops, keypoints and heatmaps."""

import warnings
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from litehrnet.keypoints.boxes import centers_and_scales, check_boxes
from litehrnet.keypoints.codec import HeatmapCodec, argmax, decode, encode, heatmap_to_image, merge_flipped
from litehrnet.keypoints.crop import (
    crop_matrices,
    inverse_matrices,
    normalize,
    transform_points,
    udp_crop_matrices,
    warp,
)
from litehrnet.keypoints.oks import pairwise_oks
from litehrnet.keypoints.skeletons import COCO, from_dict, to_dict
from litehrnet.poses import KeypointSet

Kind = Literal["default", "dark", "udp"]
KINDS: list[Kind] = ["default", "dark", "udp"]
SEEDS = st.integers(0, 2**32 - 1)
# Multiples of 32, as the network requires, up to 256 x 256.
INPUT_SIZES = st.tuples(st.integers(2, 8), st.integers(2, 8)).map(lambda sides: (32 * sides[0], 32 * sides[1]))


def quarter(size_wh: tuple[int, int]) -> tuple[int, int]:
    return size_wh[0] // 4, size_wh[1] // 4


def stride(size_wh: tuple[int, int], kind: Kind) -> NDArray[np.float64]:
    between_centers = 1 if kind == "udp" else 0
    heatmap_size_wh = np.array(quarter(size_wh))
    return np.asarray((np.array(size_wh) - between_centers) / (heatmap_size_wh - between_centers))


def inner_positions(rng: np.random.Generator, size_wh: tuple[int, int], margin: float) -> NDArray[np.float64]:
    """Heatmap positions (3, 5, 2) at least ``margin`` cells inside the outermost cells."""
    most = np.array(quarter(size_wh)) - 1 - margin
    return rng.uniform(margin, most, (3, 5, 2))


def there_and_back(
    positions: NDArray[np.float64], size_wh: tuple[int, int], codec: HeatmapCodec
) -> NDArray[np.float64]:
    """Largest distance along an axis (3, 5) between positions and what is read from their heatmaps."""
    crop_xy = positions * stride(size_wh, codec.kind)
    heatmaps, weights = encode(crop_xy, np.ones((3, 5)), size_wh, quarter(size_wh), codec)
    assert weights.all()
    heatmap_xy, _ = decode(heatmaps, codec)
    return np.asarray(np.abs(heatmap_xy - positions).max(axis=2))


def random_persons(seed: int, count: int) -> dict[str, NDArray[Any]]:
    rng = np.random.default_rng(seed)
    return {
        "centers": rng.uniform(-50, 2000, (count, 2)).astype(np.float32),
        "scales": rng.uniform(0.05, 10, (count, 2)).astype(np.float32),
        "rotations": rng.uniform(-180, 180, count),
        "boxes": rng.uniform(1, 500, (count, 4)),
        "keypoints": rng.uniform(-20, 150, (count, 6, 2)),
        "visible": rng.integers(0, 3, (count, 6)),
        "heatmaps": rng.normal(0, 0.3, (count, 6, 32, 24)).astype(np.float32),
        "flipped": rng.normal(0, 0.3, (count, 6, 32, 24)).astype(np.float32),
        "crops": rng.integers(0, 256, (count, 16, 12, 3), dtype=np.uint8),
    }


@given(SEEDS, INPUT_SIZES, st.booleans(), st.sampled_from([crop_matrices, udp_crop_matrices]))
def test_a_crop_leads_there_and_back(seed: int, size_wh: tuple[int, int], turned: bool, matrices_of: Any) -> None:
    persons = random_persons(seed, 4)
    turns = persons["rotations"] if turned else None
    matrices = matrices_of(persons["centers"], persons["scales"], size_wh, turns)
    image_xy = np.random.default_rng(seed).uniform(-100, 3000, (4, 7, 2))
    back = transform_points(transform_points(image_xy, matrices), inverse_matrices(matrices))
    np.testing.assert_allclose(back, image_xy, rtol=0, atol=1e-8)
    np.testing.assert_allclose(inverse_matrices(inverse_matrices(matrices)), matrices, rtol=1e-8, atol=1e-8)


@given(SEEDS, INPUT_SIZES)
def test_a_box_fills_its_crop_without_the_padding(seed: int, size_wh: tuple[int, int]) -> None:
    boxes = random_persons(seed, 4)["boxes"]
    centers, scales = centers_and_scales(boxes, size_wh, padding=1.0)
    corners = np.stack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    crop_xy = transform_points(corners, crop_matrices(centers, scales, size_wh))
    margin = np.minimum(crop_xy[:, 0], size_wh - crop_xy[:, 1])
    # One side touches the border of the crop, neither leaves it; float32 places a corner to 1e-2 pixels.
    np.testing.assert_allclose(margin.min(axis=1), 0, atol=1e-2)


@given(SEEDS, INPUT_SIZES, st.sampled_from(KINDS))
def test_the_way_through_the_heatmap_is_the_way_through_the_crop(
    seed: int, size_wh: tuple[int, int], kind: Kind
) -> None:
    persons = random_persons(seed, 3)
    centers, scales = centers_and_scales(persons["boxes"], size_wh)
    heatmap_xy = inner_positions(np.random.default_rng(seed), size_wh, 0)
    image_xy = heatmap_to_image(heatmap_xy, centers, scales, quarter(size_wh), HeatmapCodec(kind))
    matrices_of = udp_crop_matrices if kind == "udp" else crop_matrices
    crop_xy = transform_points(image_xy, matrices_of(centers, scales, size_wh))
    np.testing.assert_allclose(crop_xy, heatmap_xy * stride(size_wh, kind), rtol=0, atol=5e-2)


@given(st.permutations(range(9)), st.integers(0, 4), SEEDS)
def test_flipping_twice_changes_nothing(order: list[int], pairs: int, seed: int) -> None:
    flip_pairs = tuple((order[2 * i], order[2 * i + 1]) for i in range(pairs))
    keypoint_set = KeypointSet("any", tuple("abcdefghi"), flip_pairs, (), (0.05,) * 9)
    flip_order = keypoint_set.flip_order
    np.testing.assert_array_equal(flip_order[flip_order], np.arange(9))
    heatmaps = np.random.default_rng(seed).random((2, 9, 8, 6), dtype=np.float32)
    flipped = heatmaps[:, flip_order, :, ::-1]
    np.testing.assert_array_equal(merge_flipped(heatmaps, flipped, flip_order, shift=False), heatmaps)
    assert from_dict(to_dict(keypoint_set), "any") == keypoint_set


@given(SEEDS, st.integers(1, 5), st.sampled_from(KINDS))
def test_a_batch_gives_every_person_what_it_gets_alone(seed: int, count: int, kind: Kind) -> None:
    codec, size_wh, heatmap_size_wh = HeatmapCodec(kind), (96, 128), (24, 32)
    order = np.array([1, 0, 2, 3, 5, 4])

    def everything(p: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
        heatmap_xy, scores = decode(p["heatmaps"], codec)
        return [
            *centers_and_scales(p["boxes"], size_wh),
            crop_matrices(p["centers"], p["scales"], size_wh, p["rotations"]),
            inverse_matrices(crop_matrices(p["centers"], p["scales"], size_wh, p["rotations"])),
            udp_crop_matrices(p["centers"], p["scales"], size_wh, p["rotations"]),
            *encode(p["keypoints"], p["visible"], size_wh, heatmap_size_wh, codec),
            *argmax(p["heatmaps"]),
            heatmap_xy,
            scores,
            merge_flipped(p["heatmaps"], p["flipped"], order, codec.flip_shift),
            heatmap_to_image(heatmap_xy, p["centers"], p["scales"], heatmap_size_wh, codec),
            normalize(p["crops"]),
        ]

    persons = random_persons(seed, count)
    together = everything(persons)
    for index in range(count):
        alone = everything({name: values[index : index + 1] for name, values in persons.items()})
        for one, of_batch in zip(alone, together, strict=True):
            np.testing.assert_array_equal(one[0], of_batch[index])


@given(SEEDS, INPUT_SIZES, st.sampled_from([1.0, 1.5, 2.0, 3.0]))
def test_default_is_within_half_a_cell_from_one_cell_inside(seed: int, size_wh: tuple[int, int], sigma: float) -> None:
    positions = inner_positions(np.random.default_rng(seed), size_wh, 1)
    assert there_and_back(positions, size_wh, HeatmapCodec("default", sigma=sigma)).max() <= 0.5 + 1e-5


@given(SEEDS, st.sampled_from([(192, 256), (128, 96), (256, 256), (288, 384)]))
def test_udp_is_within_a_thousandth_of_a_cell_from_ten_cells_inside(seed: int, size_wh: tuple[int, int]) -> None:
    positions = inner_positions(np.random.default_rng(seed), size_wh, 10)
    assert there_and_back(positions, size_wh, HeatmapCodec("udp")).max() <= 1e-3


@given(SEEDS, st.sampled_from([(192, 256), (128, 96), (256, 256)]))
def test_dark_is_nearer_than_default_on_average(seed: int, size_wh: tuple[int, int]) -> None:
    positions = inner_positions(np.random.default_rng(seed), size_wh, 5)
    dark = there_and_back(positions, size_wh, HeatmapCodec("dark")).mean()
    assert dark < there_and_back(positions, size_wh, HeatmapCodec("default")).mean()


@given(SEEDS, INPUT_SIZES, st.sampled_from(KINDS))
def test_targets_are_finite_and_in_range_wherever_the_keypoints_are(
    seed: int, size_wh: tuple[int, int], kind: Kind
) -> None:
    rng = np.random.default_rng(seed)
    keypoints = rng.normal(0, 1, (3, 5, 2)) * 10.0 ** rng.uniform(0, 30, (3, 5, 2))
    heatmaps, weights = encode(keypoints, rng.integers(0, 3, (3, 5)), size_wh, quarter(size_wh), HeatmapCodec(kind))
    assert np.isin(weights, (0, 1)).all()
    assert ((heatmaps >= 0) & (heatmaps <= 1)).all()
    assert not heatmaps[weights == 0].any()
    assert_in_range(heatmaps, HeatmapCodec(kind))


def assert_in_range(heatmaps: NDArray[np.float32], codec: HeatmapCodec) -> None:
    """Neither decoder raises or warns, and both stay in the range that they document."""
    height, width = heatmaps.shape[2:]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        peaks, peak_scores = argmax(heatmaps)
        heatmap_xy, scores = decode(heatmaps, codec)
    np.testing.assert_array_equal(scores, peak_scores)
    assert np.isfinite(scores).all()
    none = scores <= 0
    assert (heatmap_xy[none] == -1).all()
    assert (peaks[none] == -1).all()
    assert ((peaks[~none] >= 0) & (peaks[~none] <= (width - 1, height - 1))).all()
    least, most = (0, (width - 1, height - 1)) if codec.kind == "default" else (-1, (width, height))
    assert ((heatmap_xy[~none] >= least) & (heatmap_xy[~none] <= most)).all()


ANY_HEATMAPS = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 14), st.integers(1, 14)),
    elements=st.floats(width=32, allow_nan=True, allow_infinity=True, allow_subnormal=True),
    fill=st.sampled_from([0.0, -1.0, 1.0, float("nan"), float("inf"), 1e-45, 3.4028234663852886e38]),
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("blur_kernel", [1, 3, 11])
@given(heatmaps=ANY_HEATMAPS)
def test_no_heatmap_makes_a_decoder_raise_warn_or_leave_its_range(
    kind: Kind, blur_kernel: int, heatmaps: NDArray[np.float32]
) -> None:
    assert_in_range(heatmaps, HeatmapCodec(kind, blur_kernel=blur_kernel))


@pytest.mark.parametrize("kind", KINDS)
@given(SEEDS, st.sampled_from([1e-45, 1e-38, 1e-12, 1.0, 1e12, 3e38]), st.sampled_from([0.0, 0.01, 0.5]))
def test_no_noise_makes_a_decoder_raise_warn_or_leave_its_range(
    kind: Kind, seed: int, height: float, broken: float
) -> None:
    rng = np.random.default_rng(seed)
    heatmaps = (rng.uniform(-1, 1, (2, 3, 20, 16)) * height).astype(np.float32)
    holes = rng.random(heatmaps.shape) < broken
    heatmaps[holes] = rng.choice([np.nan, np.inf, -np.inf], holes.sum())
    assert_in_range(heatmaps, HeatmapCodec(kind))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        merge_flipped(heatmaps, heatmaps[::-1], np.arange(3), shift=bool(seed % 2))


@given(
    st.tuples(
        st.floats(-1e6, 69_999, width=32),
        st.floats(-1e6, 19, width=32),
        st.floats(2.0**-126, 1e6, width=32),
        st.floats(2.0**-126, 1e6, width=32),
    )
)
def test_every_box_that_passes_has_a_crop(box: tuple[float, float, float, float]) -> None:
    x, y, width, height = box
    assume(x + width > 0 and y + height > 0)
    boxes = check_boxes([box], (70_000, 20), "photo.jpg")
    centers, scales = centers_and_scales(boxes, (64, 96))
    for matrices in (crop_matrices(centers, scales, (64, 96)), udp_crop_matrices(centers, scales, (64, 96))):
        assert np.isfinite(matrices).all()
        assert np.isfinite(inverse_matrices(matrices)).all()
    image = np.full((10, 12, 3), 200, np.uint8)
    assert warp(image, matrices[0], (64, 96)).shape == (96, 64, 3)


@given(SEEDS, st.integers(1, 6))
def test_oks_is_a_similarity(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    keypoints, areas = rng.uniform(0, 500, (count, 17, 2)), rng.uniform(1, 1e5, count)
    similarity = pairwise_oks(keypoints, areas, np.array(COCO.sigmas))
    np.testing.assert_array_equal(similarity, similarity.T)
    np.testing.assert_array_equal(np.diag(similarity), 1)
    assert ((similarity >= 0) & (similarity <= 1)).all()
