"""What every runtime offers, and nothing else."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from litehrnet.weights.weights_file import WeightsInfo


class Runtime(Protocol):
    """Runs one network on crops.

    Attributes:
        description: Name, version and settings, to be printed.
        info: What the weights' file says of them.
        input_size_wh: (width, height) that every crop must have.
    """

    description: str
    info: WeightsInfo
    input_size_wh: tuple[int, int]

    def heatmaps(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Heatmaps of a batch; of a network that segments, the scores of its classes.

        Args:
            crops: uint8 (persons, height, width, 3), RGB, of ``input_size_wh``; any number of persons but 0.

        Returns:
            float32 (persons, keypoints, ceil(height/4), ceil(width/4)); of a network that segments (images, classes,
            height, width), or at 1/4 from the native engine, which leaves enlarging to ``segmentation.scores``.
        """
        ...
