"""Lite-HRNet (Yu et al., CVPR 2021): keypoints of people in images, on small CPUs.

Public names are imported on first use, so that ``import litehrnet`` is fast:

>>> import litehrnet
>>> "PoseEstimator" in dir(litehrnet)
True
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from litehrnet.detectors.detector import open_detector as open_detector
    from litehrnet.drawing.class_maps import draw_segmentation as draw_segmentation
    from litehrnet.drawing.skeletons import draw_poses as draw_poses
    from litehrnet.errors import UserError as UserError
    from litehrnet.inference.estimator import PoseEstimator as PoseEstimator
    from litehrnet.inference.photo import Photo as Photo
    from litehrnet.inference.photo import make_photo as make_photo
    from litehrnet.inference.segmenter import Segmenter as Segmenter
    from litehrnet.inference.segmenter import open_segmenter as open_segmenter
    from litehrnet.io.images import read_image as read_image
    from litehrnet.io.images import write_image as write_image
    from litehrnet.models import create_network as create_network
    from litehrnet.poses import KeypointSet as KeypointSet
    from litehrnet.poses import Poses as Poses
    from litehrnet.video.predicting import predict_frames as predict_frames
    from litehrnet.video.reading import read_frames as read_frames

__version__ = "0.1.0"

_PUBLIC = {
    "KeypointSet": "litehrnet.poses",
    "Photo": "litehrnet.inference.photo",
    "PoseEstimator": "litehrnet.inference.estimator",
    "Poses": "litehrnet.poses",
    "Segmenter": "litehrnet.inference.segmenter",
    "UserError": "litehrnet.errors",
    "create_network": "litehrnet.models",
    "draw_poses": "litehrnet.drawing.skeletons",
    "draw_segmentation": "litehrnet.drawing.class_maps",
    "make_photo": "litehrnet.inference.photo",
    "open_detector": "litehrnet.detectors.detector",
    "open_segmenter": "litehrnet.inference.segmenter",
    "predict_frames": "litehrnet.video.predicting",
    "read_frames": "litehrnet.video.reading",
    "read_image": "litehrnet.io.images",
    "write_image": "litehrnet.io.images",
}
__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'litehrnet' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
