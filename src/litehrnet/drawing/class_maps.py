"""Draw a segmentation: every pixel tinted in the color of its class, and a legend below."""

import numpy as np

from litehrnet.arrays import Image
from litehrnet.segmentation.classes import IGNORED, ClassSet

OPACITY = 0.55
_PAPER, _INK = (250, 250, 250), (25, 25, 25)
_LEAST_SHARE = 0.0005  # of the picture: classes with less are tinted but not listed


def draw_segmentation(image_rgb: Image, classes: Image, class_set: ClassSet) -> Image:
    """Tint a photo, and list its classes below it with their share of the picture, largest first.

    Args:
        image_rgb: uint8 (height, width, 3); it is not changed.
        classes: uint8 (height, width).
        class_set: Names and colors.

    Returns:
        uint8 (height + height of the legend, width, 3).

    Example:
        >>> import numpy as np
        >>> from litehrnet import draw_segmentation, read_image
        >>> from litehrnet.cli.demo import PHOTO
        >>> from litehrnet.segmentation.classes import find_class_set
        >>> image = read_image(PHOTO)
        >>> classes = np.zeros(image.shape[:2], np.uint8)  # road everywhere
        >>> draw_segmentation(image, classes, find_class_set("cityscapes")).shape[1]
        1141
    """
    return np.concatenate([tinted(image_rgb, classes, class_set), _legend(classes, class_set, image_rgb.shape[1])])


def tinted(image_rgb: Image, classes: Image, class_set: ClassSet) -> Image:
    """Tint a photo in the colors of its classes, over its gray levels; ``IGNORED`` pixels keep their own color."""
    import cv2

    gray = np.asarray(cv2.cvtColor(image_rgb, cv2.COLOR_RGB2GRAY), np.float32)[..., None]
    colors = np.zeros((256, 3), np.float32)
    colors[: len(class_set)] = class_set.colors
    mixed = np.rint((1 - OPACITY) * gray + OPACITY * colors[classes]).astype(np.uint8)
    return np.where((classes == IGNORED)[..., None], image_rgb, mixed)


def _legend(classes: Image, class_set: ClassSet, width: int) -> Image:
    """Draw the legend, uint8 (height, width, 3), in as many columns as the longest entry allows."""
    import cv2

    shares = np.bincount(classes.ravel(), minlength=len(class_set)) / classes.size
    listed = [int(index) for index in np.argsort(-shares, kind="stable") if shares[index] >= _LEAST_SHARE]
    texts = [f"{class_set.class_names[index]} {100 * shares[index]:.1f} %" for index in listed]
    scale = max(0.4, min(1.0, width / 1600))
    font, thick = cv2.FONT_HERSHEY_SIMPLEX, max(1, round(1.6 * scale))
    line = round(34 * scale)
    longest = max(cv2.getTextSize(text, font, scale, thick)[0][0] for text in texts)
    columns = max(1, width // (longest + 2 * line))
    rows = -(-len(texts) // columns)
    legend = np.full((rows * line + line // 2, width, 3), _PAPER, np.uint8)
    for place, (index, text) in enumerate(zip(listed, texts, strict=True)):
        x, y = place % columns * (width // columns) + line // 4, place // columns * line + line // 4
        box = (x, y + line // 8), (x + 3 * line // 4, y + 7 * line // 8)
        # Mixed with middle gray, to look as in the picture.
        color = [round(OPACITY * value + (1 - OPACITY) * 128) for value in class_set.colors[index]]
        cv2.rectangle(legend, *box, color, -1)
        cv2.rectangle(legend, *box, _INK, 1)
        at = x + line, y + round(0.72 * line)
        cv2.putText(legend, text, at, font, scale, _INK, thick, cv2.LINE_AA)
    return legend
