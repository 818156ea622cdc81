import numpy as np

from litehrnet.data.color_jitter import Colors, recolor


def test_recoloring_by_nothing_changes_nothing() -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    np.testing.assert_array_equal(recolor(image, Colors(0, 1, 1)), image)
    brighter = recolor(image, Colors(0.1, 1, 1)).astype(int) - image
    assert brighter.max() == 26
    gray = recolor(image, Colors(0, 1, 0))
    assert (gray == gray[..., :1]).all()
