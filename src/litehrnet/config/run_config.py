"""What a recipe says, as frozen dataclasses; read by ``litehrnet.config.recipes``."""

from dataclasses import dataclass
from typing import Literal

from litehrnet.keypoints.codec import HeatmapCodec
from litehrnet.keypoints.skeletons import find_keypoint_set
from litehrnet.poses import KeypointSet


@dataclass(frozen=True)
class TestConfig:
    """On what and how a network is tested.

    Attributes:
        dataset: Format of the annotations, which also says the metric: COCO's AP or MPII's PCKh.
        annotations: Annotation file (for MPII the JSON list; its ``.mat`` file is expected beside it).
        images: Folder of the photos.
        boxes: Detection file in COCO's results format; None for the boxes of the annotations.
        flip: Average with the heatmaps of the mirrored crop.
        nms: Drop the lower of two poses that are alike (oks), only lower its score (soft), or keep all (none).
        oks_threshold: What alike is, 0..1.
        visibility_threshold: Keypoint scores above it enter the score of a pose.
    """

    __test__ = False  # not a class of tests, whatever pytest makes of its name

    dataset: Literal["coco", "mpii"]
    annotations: str
    images: str
    boxes: str | None = None
    flip: bool = True
    nms: Literal["oks", "soft", "none"] = "oks"
    oks_threshold: float = 0.9
    visibility_threshold: float = 0.2


@dataclass(frozen=True)
class RunConfig:
    """A recipe: one network, one kind of keypoints, one input size.

    Attributes:
        name: The recipe's file name without ``.py``.
        variant: Name in ``litehrnet.variants``.
        keypoints: ``coco``, ``mpii``, ``lsp`` or a file that describes a keypoint set.
        input_size_wh: (width, height) of the crop in pixels.
        codec: How positions become heatmaps and back.
        test: On what and how the network is tested.
    """

    name: str
    variant: str
    keypoints: str
    input_size_wh: tuple[int, int]
    codec: HeatmapCodec
    test: TestConfig

    @property
    def keypoint_set(self) -> KeypointSet:
        """The keypoint set that ``keypoints`` names."""
        return find_keypoint_set(self.keypoints)

    @property
    def num_keypoints(self) -> int:
        """Number of heatmaps."""
        return len(self.keypoint_set)
