"""Draw where the keypoints of tracked people were a moment ago."""

from collections import deque

import numpy as np

from litehrnet.arrays import Floats32, Image, Indices
from litehrnet.drawing.skeletons import DrawStyle, joint_colors, line_width
from litehrnet.poses import Poses

SECONDS = 1.0
"""Length of a trail."""

_FRACTION_BITS = 4  # of OpenCV's fixed-point numbers


class Trails:
    """Keeps the last second of every tracked person, and draws a line along it for each keypoint.

    A line is as wide as a limb at its new end, and thinner toward its old one. It has a gap where the keypoint's score
    is under ``style.full_score``. People without an identity have no trails.

    Args:
        style: Scores, line width and colors, as for skeletons.
    """

    def __init__(self, style: DrawStyle) -> None:
        self._style = style
        self._frames: deque[tuple[float, dict[int, Floats32]]] = deque()

    def draw_onto(self, image: Image, poses: Poses, identities: Indices, time: float) -> None:
        """Remember the next frame, and draw the trails of its people into the picture.

        Args:
            image: uint8 (height, width, 3), RGB, which is changed.
            poses: People in pixels of this image.
            identities: (people,); 0 for people without one.
            time: Time of the frame in seconds, increasing.
        """
        shown = np.isfinite(poses.keypoints).all(axis=2) & (poses.scores >= self._style.full_score)
        places = np.where(shown[..., None], poses.keypoints, np.nan).astype(np.float32)
        self._frames.append((time, {i: p for i, p in zip(identities.tolist(), places, strict=True) if i}))
        while time - self._frames[0][0] > SECONDS:
            self._frames.popleft()
        colors = joint_colors(poses.keypoint_set, self._style)
        for identity, box in zip(identities.tolist(), poses.boxes, strict=True):
            if identity:
                width = self._style.line_width or line_width(box, image.shape, len(poses.keypoint_set))
                self._draw_person(image, identity, time, width, colors)

    def _draw_person(
        self, image: Image, identity: int, time: float, width: int, colors: list[tuple[int, int, int]]
    ) -> None:
        import cv2

        reach = 4 * max(image.shape[:2]) + 100  # OpenCV counts in 32 bits
        before: Floats32 | None = None
        for then, people in self._frames:
            places = people.get(identity)
            if places is not None and before is not None:
                thickness = max(1, round(width * (1 - (time - then) / SECONDS)))
                drawn = np.isfinite(before).all(axis=1) & np.isfinite(places).all(axis=1)
                ends = np.stack([before, places], axis=1).clip(-reach, reach)
                fixed = np.rint(np.nan_to_num(ends) * (1 << _FRACTION_BITS)).astype(int).tolist()
                for joint in np.flatnonzero(drawn).tolist():
                    start, end = fixed[joint]
                    cv2.line(image, start, end, colors[joint], thickness, cv2.LINE_AA, _FRACTION_BITS)
            before = places
