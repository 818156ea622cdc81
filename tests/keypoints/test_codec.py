"""Heatmaps against the reference vectors."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from litehrnet.errors import UserError
from litehrnet.keypoints import codec as codecs
from litehrnet.keypoints.codec import HeatmapCodec
from litehrnet.keypoints.skeletons import COCO

Arrays = Mapping[str, NDArray[Any]]
SETS = ["48x64", "72x96"]
CODECS = {
    "default": HeatmapCodec("default"),
    "unbiased_k11": HeatmapCodec("dark", blur_kernel=11),
    "unbiased_k17": HeatmapCodec("dark", blur_kernel=17),
    "udp_k11": HeatmapCodec("udp", blur_kernel=11),
}


@pytest.fixture(scope="module")
def geometry(shared: Path) -> Arrays:
    with np.load(shared / "reference" / "geometry.npz") as arrays:
        return dict(arrays)


def targets(
    geometry: Arrays, name: str, size_wh: tuple[int, int], codec: HeatmapCodec
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    joints = geometry[f"tgt_{name}_joints"][None, :, :2]
    visible = geometry[f"tgt_{name}_vis"][None, :, 0]
    heatmap_size_wh = (size_wh[0] // 4, size_wh[1] // 4)
    heatmaps, weights = codecs.encode(joints, visible, size_wh, heatmap_size_wh, codec)
    assert heatmaps.dtype == weights.dtype == np.float32
    return heatmaps[0], weights[0]


@pytest.mark.parametrize(
    ("name", "size_wh", "sigma"),
    [("192x256_s2", (192, 256), 2.0), ("288x384_s3", (288, 384), 3.0), ("256x256_s2", (256, 256), 2.0)],
)
def test_default_targets_are_the_published_ones(
    geometry: Arrays, name: str, size_wh: tuple[int, int], sigma: float
) -> None:
    heatmaps, weights = targets(geometry, name, size_wh, HeatmapCodec("default", sigma=sigma))
    np.testing.assert_allclose(heatmaps, geometry[f"tgt_{name}_target"], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(weights, geometry[f"tgt_{name}_weight"][:, 0])


@pytest.mark.parametrize(("kind", "key"), [("dark", "tgtunb"), ("udp", "tgtudp")])
def test_dark_and_udp_targets_are_the_published_ones(geometry: Arrays, kind: Literal["dark", "udp"], key: str) -> None:
    heatmaps, weights = targets(geometry, "192x256_s2", (192, 256), HeatmapCodec(kind))
    np.testing.assert_allclose(heatmaps[:, ::8], geometry[f"{key}_192x256_s2_target_x8rows"], rtol=0, atol=1e-5)
    np.testing.assert_array_equal(weights, geometry[f"{key}_192x256_s2_weight"][:, 0])


def test_a_square_that_just_misses_the_left_border_weighs_one_with_an_empty_map() -> None:
    heatmaps, weights = codecs.encode(
        np.array([[[-30.0, 100.0], [-34.0, 100.0]]]), np.ones((1, 2)), (192, 256), (48, 64), HeatmapCodec()
    )
    np.testing.assert_array_equal(weights, [[1, 0]])
    assert not heatmaps.any()


def test_hidden_counts_as_visible_and_unlabeled_or_infinite_weighs_nothing() -> None:
    keypoints = np.full((1, 6, 2), 100.0)
    keypoints[0, 3:, 0] = np.nan, np.inf, 1e300
    visible = np.array([[0, 1, 2, 2, 2, 2]])
    for kind in ("default", "dark", "udp"):
        heatmaps, weights = codecs.encode(keypoints, visible, (192, 256), (48, 64), HeatmapCodec(kind))
        np.testing.assert_array_equal(weights, [[0, 1, 1, 0, 0, 0]])
        np.testing.assert_array_equal(heatmaps.any(axis=(2, 3)), weights > 0)
        np.testing.assert_array_equal(heatmaps[0, 1], heatmaps[0, 2])


@pytest.mark.parametrize("name", SETS)
def test_argmax_is_the_published_one(geometry: Arrays, name: str) -> None:
    heatmaps = geometry[f"dec_{name}_heatmaps_f16"].astype(np.float32)
    heatmap_xy, scores = codecs.argmax(heatmaps)
    assert heatmap_xy.dtype == scores.dtype == np.float32
    np.testing.assert_array_equal(heatmap_xy, geometry[f"dec_{name}_argmax_xy"])
    np.testing.assert_array_equal(heatmap_xy, geometry[f"dec_{name}_none_hmspace"])
    np.testing.assert_array_equal(scores, geometry[f"dec_{name}_maxvals"][..., 0])


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("kind", CODECS)
def test_decoded_positions_are_the_published_ones(geometry: Arrays, name: str, kind: str) -> None:
    heatmaps = geometry[f"dec_{name}_heatmaps_f16"].astype(np.float32)
    centers, scales = geometry[f"dec_{name}_center"], geometry[f"dec_{name}_scale"]
    codec = CODECS[kind]
    heatmap_xy, scores = codecs.decode(heatmaps, codec)
    assert heatmap_xy.dtype == scores.dtype == np.float32
    np.testing.assert_array_equal(scores, geometry[f"dec_{name}_maxvals"][..., 0])
    # UDP of a map without a peak is undefined in the reference implementation.
    known = (scores > 0) | (codec.kind != "udp")
    expected = geometry[f"dec_{name}_{kind}_hmspace"]
    np.testing.assert_allclose(heatmap_xy[known], expected[known], rtol=0, atol=1e-4)
    image_xy = codecs.heatmap_to_image(heatmap_xy, centers, scales, heatmaps.shape[:1:-1], codec)
    expected = geometry[f"dec_{name}_{kind}_preds"]
    np.testing.assert_allclose(image_xy[known], expected[known], rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", SETS)
def test_argmax_in_the_image_is_the_published_one(geometry: Arrays, name: str) -> None:
    heatmaps = geometry[f"dec_{name}_heatmaps_f16"].astype(np.float32)
    centers, scales = geometry[f"dec_{name}_center"], geometry[f"dec_{name}_scale"]
    heatmap_xy, _ = codecs.argmax(heatmaps)
    image_xy = codecs.heatmap_to_image(heatmap_xy, centers, scales, heatmaps.shape[:1:-1], HeatmapCodec())
    np.testing.assert_allclose(image_xy, geometry[f"dec_{name}_none_preds"], rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", SETS)
def test_the_blurred_map_is_the_published_one(geometry: Arrays, name: str) -> None:
    first = geometry[f"dec_{name}_heatmaps_f16"][0, :1].astype(np.float32)
    blurred = codecs._blur(first, 11)[0]
    modulated = blurred * (first.max() / blurred.max())
    np.testing.assert_allclose(modulated, geometry[f"dec_{name}_blur_k11_joint0"], rtol=0, atol=1e-5)


def published_dark(heatmap: NDArray[np.float32], kernel: int) -> NDArray[np.float64]:
    """DARK as docs/spec/protocol.md, section 4.2 writes it, for one map: blur, rescale, floor, one Newton step."""
    y, x = np.unravel_index(heatmap.argmax(), heatmap.shape)
    height, width = heatmap.shape
    if not (1 < x < width - 2 and 1 < y < height - 2):
        return np.array([x, y], dtype=np.float64)
    border = kernel // 2
    padded = cv2.GaussianBlur(np.pad(heatmap, border), (kernel, kernel), 0).astype(np.float64)
    blurred = padded[border:-border, border:-border]
    f = np.log(np.maximum(blurred * (float(heatmap.max()) / blurred.max()), 1e-10))
    g = np.array([f[y, x + 1] - f[y, x - 1], f[y + 1, x] - f[y - 1, x]]) / 2
    xx, yy = ((f[y + 2 * b, x + 2 * a] - 2 * f[y, x] + f[y - 2 * b, x - 2 * a]) / 4 for a, b in ((1, 0), (0, 1)))
    xy = (f[y + 1, x + 1] - f[y - 1, x + 1] - f[y + 1, x - 1] + f[y - 1, x - 1]) / 4
    step = np.linalg.solve([[xx, xy], [xy, yy]], g) if xx * yy != xy**2 else 0
    return np.array([x, y], dtype=np.float64) - step


@pytest.mark.parametrize("kernel", [3, 11])
def test_dark_is_the_published_step_also_where_the_floor_cuts_into_the_logarithm(kernel: int) -> None:
    rng = np.random.default_rng(5)
    # A peak in noise about zero: in some maps, blurred values beside the peak are below zero.
    noise = rng.normal(0, 1, (300, 24, 20)) * rng.uniform(0, 0.8, (300, 1, 1))
    peaks, weights = codecs.encode(
        rng.uniform(12, 68, (1, 300, 2)), np.ones((1, 300)), (80, 96), (20, 24), HeatmapCodec("dark", sigma=1.0)
    )
    heatmaps = peaks + noise.astype(np.float32)
    cells = codecs.argmax(heatmaps)[0][0].astype(int)
    blurred = codecs._blur(heatmaps[0], kernel)
    floored = [
        one[y - 2 : y + 3, x - 2 : x + 3].min() <= 0
        for one, (x, y) in zip(blurred, cells, strict=True)
        if 1 < x < 18 and 1 < y < 22
    ]
    assert weights.all()
    assert 10 < sum(floored) < len(floored) - 10
    heatmap_xy, _ = codecs.decode(heatmaps, HeatmapCodec("dark", blur_kernel=kernel))
    expected = np.clip([published_dark(one, kernel) for one in heatmaps[0]], -1, (20, 24))
    np.testing.assert_allclose(heatmap_xy[0], expected, rtol=0, atol=5e-3)


def test_a_newton_step_leaves_the_map_by_one_cell_at_most() -> None:
    # A ridge along the diagonal, almost flat on top: the Newton step is a hundred cells long.
    logarithm = np.array([[-0.001, -0.6, -1.2], [-0.6, 0, -0.4], [-1.2, -0.4, -0.001]])
    heatmap = np.full((16, 20), 0.01, np.float32)
    heatmap[7:10, 7:10] = np.exp(logarithm)
    both = np.stack([heatmap, heatmap[::-1, ::-1]])[None]
    heatmap_xy, _ = codecs.decode(both, HeatmapCodec("udp", blur_kernel=1))
    np.testing.assert_array_equal(heatmap_xy, [[[20, 16], [-1, -1]]])


def test_dark_makes_no_step_where_the_second_derivatives_cannot_be_inverted() -> None:
    # Powers of two: their logarithms are exact multiples, so that the determinant is exactly 0.
    exponents = np.full((16, 20), -20)
    exponents[8, 6:11] = -4, -2, 0, -1, -4
    exponents[6:11, 8] = -4, -1, 0, -2, -4
    exponents[7, 7] = exponents[9, 9] = -8
    exponents[7, 9] = exponents[9, 7] = -4
    heatmap = (2.0**exponents).astype(np.float32)
    heatmap_xy, _ = codecs.decode(heatmap[None, None], HeatmapCodec("dark", blur_kernel=1))
    np.testing.assert_array_equal(heatmap_xy, [[[8, 8]]])


def test_default_steps_a_quarter_cell_toward_the_higher_neighbor_but_not_at_the_border() -> None:
    heatmaps = np.zeros((1, 3, 8, 8), np.float32)
    heatmaps[0, 0, 4, 3:6] = 0.5, 1, 0.6
    heatmaps[0, 0, 3, 4] = 0.1
    heatmaps[0, 1, 4, 1:3] = 1, 0.6
    heatmaps[0, 2, 4, 6:8] = 1, 0.6
    heatmap_xy, _ = codecs.decode(heatmaps, HeatmapCodec())
    np.testing.assert_array_equal(heatmap_xy, [[[4.25, 3.75], [1, 4], [6.25, 4]]])


@pytest.mark.parametrize("kind", ["default", "dark", "udp"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0, -1.0])
def test_a_map_without_a_finite_positive_value_has_no_peak(
    kind: Literal["default", "dark", "udp"], value: float
) -> None:
    heatmap_xy, scores = codecs.decode(np.full((1, 2, 16, 12), value, np.float32), HeatmapCodec(kind))
    np.testing.assert_array_equal(heatmap_xy, np.full((1, 2, 2), -1))
    np.testing.assert_array_equal(scores, np.full((1, 2), value if value == -1 else 0))


@pytest.mark.parametrize("kind", ["default", "dark", "udp"])
def test_values_that_are_not_finite_are_no_peak(kind: Literal["default", "dark", "udp"]) -> None:
    codec = HeatmapCodec(kind)
    heatmaps, _ = codecs.encode(np.array([[[101.0, 90.0]]]), np.ones((1, 1)), (192, 256), (48, 64), codec)
    broken = heatmaps.copy()
    broken[0, 0, 60, 3:6] = np.nan, np.inf, -np.inf
    for clean, hurt in zip(codecs.decode(heatmaps, codec), codecs.decode(broken, codec), strict=True):
        np.testing.assert_array_equal(hurt, clean)


@pytest.mark.parametrize("kind", ["default", "dark", "udp"])
def test_no_persons_decode_to_no_positions(kind: Literal["default", "dark", "udp"]) -> None:
    heatmap_xy, scores = codecs.decode(np.zeros((0, 17, 64, 48), np.float32), HeatmapCodec(kind))
    assert heatmap_xy.shape == (0, 17, 2)
    assert scores.shape == (0, 17)


def test_positions_in_the_image_are_the_published_ones(geometry: Arrays) -> None:
    for codec, expected in ((HeatmapCodec(), "tp_preds"), (HeatmapCodec("udp"), "tp_preds_udp")):
        for index, (width, height) in enumerate(geometry["tp_hm_size_wh"]):
            rows = slice(index, index + 1)
            centers, scales = geometry["aff_center"][rows], geometry["aff_scale"][rows]
            image_xy = codecs.heatmap_to_image(geometry["tp_coords"][rows], centers, scales, (width, height), codec)
            np.testing.assert_allclose(image_xy, geometry[expected][rows], rtol=0, atol=1e-3)


@pytest.mark.parametrize(("shift", "key"), [(False, "fm_merged_noshift"), (True, "fm_merged_shift")])
def test_merged_heatmaps_are_the_published_ones(geometry: Arrays, shift: bool, key: str) -> None:
    heatmaps = geometry["fm_out_f16"].astype(np.float32)
    flipped = geometry["fm_flipped_raw_f16"].astype(np.float32)
    before = heatmaps.copy(), flipped.copy()
    merged = codecs.merge_flipped(heatmaps, flipped, COCO.flip_order, shift)
    assert merged.dtype == np.float32
    assert merged.flags.c_contiguous
    np.testing.assert_allclose(merged, geometry[key], rtol=0, atol=1e-6)
    np.testing.assert_array_equal((heatmaps, flipped), before)


def test_flipped_heatmaps_come_back_as_published(geometry: Arrays) -> None:
    flipped = geometry["fm_flipped_raw_f16"].astype(np.float32)
    back = 2 * codecs.merge_flipped(np.zeros_like(flipped), flipped, COCO.flip_order, shift=False)
    np.testing.assert_allclose(back, geometry["fm_flip_back"], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "simcc"}, r"heatmap codec 'simcc': unknown kind \(expected default, dark or udp\)"),
        ({"sigma": 0.0}, r"sigma 0: .*\(expected a number above 0\)"),
        ({"sigma": float("nan")}, r"sigma nan: .*\(expected a number above 0\)"),
        ({"blur_kernel": 10}, r"blur kernel 10: .*\(expected an odd number of cells\)"),
        ({"blur_kernel": -1}, r"blur kernel -1: .*\(expected an odd number of cells\)"),
    ],
)
def test_an_impossible_codec_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=f"^{message}$"):
        HeatmapCodec(**fields)
