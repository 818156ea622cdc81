"""Samples made on the device equal those of the package's NumPy code."""

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from litehrnet.config.schema import RunConfig
from litehrnet.data.appearance import Cutout, covering_matrix, hidden, outside
from litehrnet.data.augmentation import Person, Variation, put_anywhere, vary
from litehrnet.data.color_jitter import Colors, recolor
from litehrnet.data.settings import AugmentationConfig
from litehrnet.data.trainingset import TrainingSet, read_training_set
from litehrnet.io.images import read_image
from litehrnet.keypoints.codec import HeatmapCodec, encode
from litehrnet.keypoints.crop import crop_matrices, transform_points, udp_crop_matrices, warp
from litehrnet.keypoints.skeletons import COCO, lower_body
from litehrnet.training.gpu.people import People, load_people
from litehrnet.training.gpu.samples import (
    Variations,
    blurred_by,
    covering_matrices,
    draw_variations,
    encoded,
    make_device_batch,
    placed,
    recolored,
    rectangles,
    warped,
)

CPU = torch.device("cpu")
SIZE = (64, 96)


@pytest.fixture(scope="module")
def training_set(small_config: RunConfig) -> TrainingSet:
    settings = AugmentationConfig(center_jitter_probability=0.0)
    people = read_training_set(small_config.train, COCO, SIZE, HeatmapCodec(), settings, 0)
    records = list(people.records)
    records[3] = replace(records[3], visible=np.where(lower_body(COCO), np.float32(1), np.float32(0)))
    records[4] = replace(records[4], visible=np.where(np.arange(17) == 5, np.float32(1), np.float32(0)))
    return replace(people, records=tuple(records))


@pytest.fixture(scope="module")
def people(training_set: TrainingSet) -> People:
    return load_people(training_set, CPU, workers=0)


def _variations(count: int, **values: Any) -> Variations:
    zeros = torch.zeros(count)
    plain: dict[str, Any] = {"flip": zeros > 0, "half": zeros.long(), "zoom": zeros + 1, "rotation_deg": zeros}
    plain |= {"shift": torch.zeros(count, 2), "anywhere": zeros > 0, "place": torch.zeros(count, 3)}
    return Variations(**{**plain, **values})


@pytest.mark.parametrize("kind", ["default", "udp"])
def test_crops_and_joints_are_where_the_numpy_code_has_them(
    training_set: TrainingSet, people: People, kind: Any
) -> None:
    training_set = replace(training_set, codec=HeatmapCodec(kind))
    count, rng = len(people), np.random.default_rng(5)
    drawn = [
        Variation(
            bool(i % 2),
            (None, "upper", "lower")[i % 3],
            rng.uniform(0.8, 1.2),
            rng.uniform(-60, 60),
            (0.5, *rng.random(2)) if i == 7 else None,
        )
        for i in range(count)
    ]
    records = training_set.records
    expected = []
    for record, variation in zip(records, drawn, strict=True):
        size_wh = read_image(record.image_file).shape[1::-1]
        person = Person(record.center, record.scale, record.joints_xy, record.visible)
        person = vary(person, variation, size_wh[0], COCO.flip_order, lower_body(COCO), SIZE)
        expected.append(put_anywhere(person, variation.anywhere, size_wh, SIZE) if variation.anywhere else person)
    matrices = (udp_crop_matrices if kind == "udp" else crop_matrices)(
        np.array([person.center for person in expected]),
        np.array([person.scale for person in expected]),
        SIZE,
        np.array([variation.rotation_deg for variation in drawn]),
    )
    joints = transform_points(np.array([person.joints_xy for person in expected]), matrices)
    found, joints_xy, visible = placed(
        people,
        _variations(
            count,
            flip=torch.tensor([variation.flip for variation in drawn]),
            half=torch.tensor([[None, "upper", "lower"].index(variation.half_body) for variation in drawn]),
            zoom=torch.tensor([variation.zoom for variation in drawn], dtype=torch.float32),
            rotation_deg=torch.tensor([variation.rotation_deg for variation in drawn], dtype=torch.float32),
            anywhere=torch.tensor([variation.anywhere is not None for variation in drawn]),
            place=torch.tensor([variation.anywhere or (0.0, 0.0, 0.0) for variation in drawn], dtype=torch.float32),
        ),
        training_set,
    )
    seen = np.array([person.visible for person in expected])
    np.testing.assert_array_equal(visible.numpy(), seen)
    np.testing.assert_allclose(joints_xy.numpy()[seen > 0], joints[seen > 0], atol=5e-3)
    plain = [i for i, variation in enumerate(drawn) if not variation.flip]
    np.testing.assert_allclose(found.numpy()[plain], matrices[plain], atol=5e-3)
    flipped = np.array([np.vstack([matrix, [0, 0, 1]]) for matrix in found.numpy()[1::2]])
    last = people.sizes_wh[1::2, 0].numpy() - 1
    mirror = np.array([[[-1, 0, x], [0, 1, 0], [0, 0, 1]] for x in last])
    np.testing.assert_allclose((flipped @ mirror)[:, :2], matrices[1::2], atol=5e-3)


def test_pixels_are_those_of_opencv(training_set: TrainingSet, people: People) -> None:
    turns = torch.linspace(-50, 50, len(people))
    matrices, _, _ = placed(people, _variations(len(people), rotation_deg=turns, flip=turns > 0), training_set)
    crops, beyond = warped(people.pictures, people.sizes_wh, matrices, SIZE)
    assert beyond.any()
    for number, record in enumerate(training_set.records):
        image, matrix = read_image(record.image_file), matrices[number].double().numpy()
        difference = crops[number].permute(1, 2, 0).numpy() - warp(image, matrix, SIZE)
        # OpenCV before version 5 weights neighbors in steps of 1/32 pixel.
        assert np.abs(difference).max() <= 12
        assert np.abs(difference).mean() < 0.6
        mask = outside(matrix, (image.shape[1], image.shape[0]), SIZE)
        expected = np.zeros(beyond.shape[1:], bool) if mask is None else mask > 0
        assert (beyond[number].numpy() != expected).mean() < 2e-3


@pytest.mark.parametrize("kind", ["default", "dark", "udp"])
def test_targets_equal_those_of_the_codec(kind: Any) -> None:
    rng = np.random.default_rng(1)
    joints = rng.uniform(-30, 130, (40, 17, 2)).astype(np.float32)
    visible = rng.integers(0, 2, (40, 17)).astype(np.float32)
    codec = HeatmapCodec(kind, sigma=1.5)
    expected, expected_weights = encode(joints, visible, SIZE, (16, 24), codec)
    targets, weights = encoded(torch.from_numpy(joints), torch.from_numpy(visible), SIZE, codec)
    np.testing.assert_array_equal(weights.numpy(), expected_weights)
    assert 0 < weights.mean() < 1
    np.testing.assert_allclose(targets.numpy(), expected, atol=1e-6)


def test_colors_blur_and_rectangles_are_those_of_opencv() -> None:
    image = np.random.default_rng(2).integers(0, 256, (96, 64, 3), np.uint8)
    planes = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    colors = Colors(brightness=0.1, contrast=1.3, saturation=0.6)
    found = recolored(planes, torch.tensor([0.1]), torch.tensor([0.3]), torch.tensor([-0.4]))
    assert np.abs(found[0].permute(1, 2, 0).numpy() - recolor(image, colors)).max() <= 1.5
    blurred = blurred_by(planes.repeat(2, 1, 1, 1), torch.tensor([0.7, 2.4]))
    for one, sigma in zip(blurred, (0.7, 2.4), strict=True):
        expected = cv2.GaussianBlur(image, (0, 0), sigma)
        assert np.abs(one.permute(1, 2, 0).numpy() - expected).max() <= 2
    cutout = Cutout((0.3, 0.2), (0.6, 0.9), (1.0, 1.0, 1.0))
    mask = rectangles(torch.tensor([cutout.size]), torch.tensor([cutout.place]), (64, 96))[0].numpy()
    np.testing.assert_array_equal(mask, hidden(np.zeros_like(image), cutout)[..., 0] > 0)


def test_backgrounds_cover_the_crop() -> None:
    sizes = torch.tensor([[50.0, 40.0], [1.0, 9.0]])
    found = covering_matrices(sizes, SIZE, torch.tensor([0.3, 1.0])).numpy()
    for matrix, size_wh, place in zip(found, ((50, 40), (1, 9)), (0.3, 1.0), strict=True):
        np.testing.assert_allclose(matrix, covering_matrix(size_wh, SIZE, place), rtol=1e-5, atol=1e-4)


def test_variations_have_the_probabilities_of_the_settings() -> None:
    settings = AugmentationConfig(anywhere_probability=0.1)
    visible = (torch.arange(20_000)[:, None] % 2 + 8 > torch.arange(17)).float()  # 8 or 9 of 17
    drawn = draw_variations(visible, settings, True, torch.Generator().manual_seed(0))
    assert abs(drawn.flip.float().mean() - 0.5) < 0.02
    assert abs((drawn.rotation_deg != 0).float().mean() - 0.6) < 0.02
    assert abs(drawn.anywhere.float().mean() - 0.1) < 0.02
    assert not drawn.half[::2].any()  # not more than eight joints
    assert abs((drawn.half[1::2] > 0).float().mean() - 0.3) < 0.02
    assert abs((drawn.half[1::2] == 1).float().mean() - 0.3 * 0.69) < 0.02
    assert float(drawn.zoom.min()) == 0.75
    assert float(drawn.zoom.max()) == 1.25
    assert float(drawn.rotation_deg.abs().max()) == 60
    assert float(drawn.shift.abs().max()) <= 0.2


def test_a_batch_has_everything_that_the_recipe_wants(training_set: TrainingSet, people: People) -> None:
    settings = replace(
        training_set.augmentation,
        brightness=0.2,
        blur_probability=0.5,
        cutout_probability=1.0,
        background_probability=1.0,
        center_jitter_probability=1.0,
    )
    training_set = replace(training_set, augmentation=settings)
    indices = np.array([0, 2, 5, 5])
    batch = make_device_batch(people, training_set, indices, torch.Generator().manual_seed(3))
    again = make_device_batch(people, training_set, indices, torch.Generator().manual_seed(3))
    assert batch.images.shape == (4, 96, 64, 3)
    assert batch.images.dtype == torch.uint8
    assert batch.images.is_contiguous()
    assert batch.targets.shape == (4, 17, 24, 16)
    assert batch.indices == [0, 2, 5, 5]
    assert torch.equal(batch.images, again.images)
    assert not torch.equal(batch.images[2], batch.images[3])
    assert (batch.images.float().sum(dim=3) == 0).float().mean() < 0.05  # other pictures instead of black
