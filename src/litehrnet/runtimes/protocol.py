"""The interface that every runtime has."""

from collections.abc import Callable
from typing import Any, Protocol

from litehrnet.arrays import Floats32, Image
from litehrnet.weights.weights_file import WeightsInfo


class Runtime(Protocol):
    """A network that is ready to run on crops.

    Attributes:
        description: Name, version and settings, to be printed.
        info: Metadata of the weights.
        input_size_wh: (width, height) that every crop must have.

    Example:
        >>> import numpy as np
        >>> from litehrnet.runtimes import Runtime, open_runtime
        >>> runtime: Runtime = open_runtime("lite_hrnet_18", threads=1)
        >>> runtime.info.keypoint_set.name, runtime.input_size_wh
        ('coco', (192, 256))
        >>> small = runtime.resized((96, 128))
        >>> small.forward(np.zeros((1, 128, 96, 3), np.uint8)).shape
        (1, 17, 32, 24)
    """

    description: str
    info: WeightsInfo
    input_size_wh: tuple[int, int]

    def forward(self, crops: Image) -> Floats32:
        """Run the network on a batch: heatmaps, class scores of a segmentation network, or the five maps of a detector.

        A SimCC head (``info.simcc_bins_wh``) gives rows of bins instead, as in ``keypoints.simcc``.

        Args:
            crops: uint8 (n, height, width, 3), RGB, of ``input_size_wh``; n is 1 or more.

        Returns:
            float32 (n, keypoints, ceil(height/4), ceil(width/4)). For segmentation (n, classes, height, width), or
            a quarter of that size from the native engine: ``segmentation.scores`` enlarges it. For SimCC (n, keypoints,
            bins along x and then along y).
        """
        ...

    def resized(self, input_size_wh: tuple[int, int]) -> "Runtime":
        """Return the same network for crops of another size.

        Raises:
            UserError: The network does not accept this size. Or the file is made for one size, as an ONNX model or a
                ``.native`` program may be.
        """
        ...


def fixed_size_message(source: object, own_wh: tuple[int, int], wanted_wh: tuple[int, int]) -> str:
    """Error message of weights that run at one input size; both sizes are (width, height)."""
    own, wanted = ("x".join(map(str, size)) for size in (own_wh, wanted_wh))
    return f"{source}: input size is {own} (width x height) and cannot be changed to {wanted}"


def reopened(open_file: Callable[..., Runtime], arguments: tuple[Any, ...], input_size_wh: tuple[int, int]) -> Runtime:
    """Open the file of a pickled runtime again, as runtimes of native code cannot be pickled themselves.

    Args:
        open_file: Opens the file with ``arguments``.
        arguments: The file and its settings.
        input_size_wh: (width, height) of the pickled runtime.

    Raises:
        UserError: The file is no longer there, or cannot be opened.
    """
    runtime = open_file(*arguments)
    return runtime if runtime.input_size_wh == input_size_wh else runtime.resized(input_size_wh)
