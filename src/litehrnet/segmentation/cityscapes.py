"""Cityscapes' classes: 19 of its 35 labels are trained and tested on (Cordts et al., CVPR 2016; its label table)."""

from litehrnet.segmentation.classes import ClassSet

# fmt: off
_CLASSES = (  # name, label id, colour, in the order of the train ids
    ("road", 7, (128, 64, 128)), ("sidewalk", 8, (244, 35, 232)), ("building", 11, (70, 70, 70)),
    ("wall", 12, (102, 102, 156)), ("fence", 13, (190, 153, 153)), ("pole", 17, (153, 153, 153)),
    ("traffic light", 19, (250, 170, 30)), ("traffic sign", 20, (220, 220, 0)), ("vegetation", 21, (107, 142, 35)),
    ("terrain", 22, (152, 251, 152)), ("sky", 23, (70, 130, 180)), ("person", 24, (220, 20, 60)),
    ("rider", 25, (255, 0, 0)), ("car", 26, (0, 0, 142)), ("truck", 27, (0, 0, 70)), ("bus", 28, (0, 60, 100)),
    ("train", 31, (0, 80, 100)), ("motorcycle", 32, (0, 0, 230)), ("bicycle", 33, (119, 11, 32)),
)
# fmt: on

# Unlabeled, ego vehicle, rectification border, out of roi, static, dynamic, ground, parking, rail track, guard rail,
# bridge, tunnel, polegroup, caravan, trailer; 255 is what other tools write. License plates, -1, are in no label image.
_IGNORED_IDS = (0, 1, 2, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 29, 30, 255)

CITYSCAPES = ClassSet(
    "cityscapes",
    tuple(name for name, _, _ in _CLASSES),
    tuple(colour for _, _, colour in _CLASSES),
    tuple(label_id for _, label_id, _ in _CLASSES),
    _IGNORED_IDS,
)
