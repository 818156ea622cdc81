"""Detectors of this project: the Lite-HRNet backbone with five maps, on any runtime."""

from litehrnet.arrays import Image
from litehrnet.detection.letterbox import letterbox
from litehrnet.detection.maps import decode, suppress
from litehrnet.detectors.detections import DetectedBoxes, boxes_in_photo
from litehrnet.errors import UserError
from litehrnet.runtimes import Runtime


class BoxDetector:
    """``Detector`` that runs a detection network of this project.

    Args:
        runtime: Runtime with the network, whose output has five maps.
        min_score: Lowest score of a box, 0..1.
        source: Name of the weights for error messages.

    Raises:
        UserError: The network finds keypoints or classes, not boxes.
    """

    def __init__(self, runtime: Runtime, min_score: float, source: str = "these weights") -> None:
        if not runtime.info.detects:
            raise UserError(f"{source}: finds {runtime.info.outputs_text} (expected a detector's weights)")
        self.runtime, self.min_score = runtime, min_score
        width, height = runtime.input_size_wh
        self.description = f"{runtime.info.outputs_text}, {width}x{height} (width x height), {runtime.description}"

    def detect(self, image: Image) -> DetectedBoxes:
        """Find the objects in a photo, see ``Detector``."""
        fitted = letterbox(image, self.runtime.input_size_wh)
        corners, scores = decode(self.runtime.forward(fitted.pixels[None])[0], self.min_score)
        kept = suppress(corners, scores)
        return boxes_in_photo(fitted.to_photo(corners[kept]), scores[kept], image)
