import cv2
import numpy as np

from litehrnet.drawing.class_maps import OPACITY, draw_segmentation
from litehrnet.segmentation.classes import CITYSCAPES


def test_pixels_are_tinted_in_the_color_of_their_class() -> None:
    image = np.random.default_rng(0).integers(0, 256, (60, 300, 3), dtype=np.uint8)
    classes = np.repeat(np.array([[0, 10, 13]], np.uint8), 100, axis=1).repeat(60, axis=0)
    drawn = draw_segmentation(image, classes, CITYSCAPES)
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]
    expected = (1 - OPACITY) * gray + OPACITY * np.array(CITYSCAPES.colors)[classes]
    np.testing.assert_allclose(drawn[:60], expected, atol=0.51)


def test_the_legend_has_a_swatch_for_each_class_there_and_no_other() -> None:
    image = np.full((60, 300, 3), 128, np.uint8)  # over middle gray, tints look as in the legend
    classes = np.repeat(np.array([[0, 10, 13]], np.uint8), 100, axis=1).repeat(60, axis=0)
    drawn = draw_segmentation(image, classes, CITYSCAPES)
    legend = drawn[60:].astype(int)
    assert len(legend) > 20
    for index, color in enumerate(CITYSCAPES.colors):
        tint = np.rint(OPACITY * np.array(color) + (1 - OPACITY) * 128)
        found = (np.abs(legend - tint).max(axis=2) <= 1).sum()
        assert (found > 40) == (index in (0, 10, 13)), CITYSCAPES.class_names[index]


def test_the_narrowest_picture_gets_a_legend_too() -> None:
    drawn = draw_segmentation(np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8), CITYSCAPES)
    assert drawn.shape[1] == 8
