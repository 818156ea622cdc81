import numpy as np

from litehrnet.data.colours import Colours, recolour


def test_recolouring_by_nothing_changes_nothing() -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    np.testing.assert_array_equal(recolour(image, Colours(0, 1, 1)), image)
    brighter = recolour(image, Colours(0.1, 1, 1)).astype(int) - image
    assert brighter.max() == 26
    grey = recolour(image, Colours(0, 1, 0))
    assert (grey == grey[..., :1]).all()
