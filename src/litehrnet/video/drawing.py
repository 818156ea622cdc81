"""Draw the people of video frames: skeletons, trails, raw and smoothed keypoints side by side."""

import numpy as np

from litehrnet.arrays import Image
from litehrnet.drawing.skeletons import DEFAULT_STYLE, DrawStyle, draw_onto, write_label
from litehrnet.drawing.trails import Trails
from litehrnet.poses import Poses
from litehrnet.video.predicting import FramePoses


class FrameDrawing:
    """Draws frame after frame, smoothed keypoints if there are any.

    Args:
        style: Drawing style.
        trails: Whether to draw where the keypoints of people with an identity were in the last second.
        side_by_side: Whether to draw each frame twice: raw keypoints on the left, smoothed ones on the right.
    """

    def __init__(self, style: DrawStyle = DEFAULT_STYLE, *, trails: bool = False, side_by_side: bool = False) -> None:
        self._side_by_side = side_by_side
        self._panels = [_Panel(style, trails) for _ in range(2 if side_by_side else 1)]

    def draw(self, found: FramePoses) -> Image:
        """Draw a frame; its picture is changed.

        Returns:
            uint8 (height, width, 3), RGB; twice as wide with ``side_by_side``.
        """
        image, shown = found.frame.image, found.smoothed or found.poses
        if not self._side_by_side:
            return self._panels[0].draw(image, found, shown)
        pairs = zip(self._panels, (image.copy(), image), (found.poses, shown), ("raw", "smoothed"), strict=True)
        drawn = [panel.draw(picture, found, poses, title) for panel, picture, poses, title in pairs]
        return np.concatenate(drawn, axis=1)


class _Panel:
    def __init__(self, style: DrawStyle, trails: bool) -> None:
        self._style, self._trails = style, Trails(style) if trails else None

    def draw(self, image: Image, found: FramePoses, poses: Poses, title: str = "") -> Image:
        if self._trails is not None and found.identities is not None:
            self._trails.draw_onto(image, poses, found.identities, found.frame.time)
        labels = None if found.identities is None else [str(i) if i else "" for i in found.identities]
        draw_onto(image, poses, style=self._style, labels=labels)
        if title:
            write_label(image, title, np.array([0, 0, image.shape[1], 0], np.float32))
        return image
