"""Further files of a video: the best picture of each tracked person, and OpenPose's JSON of each frame."""

from collections.abc import Callable
from pathlib import Path

from litehrnet.drawing.crops import person_crop
from litehrnet.errors import UserError
from litehrnet.io.files import make_folder
from litehrnet.io.images import write_image
from litehrnet.results.openpose import openpose_text
from litehrnet.video.predicting import FramePoses


class BestCrops:
    """Writes one picture per identity, and replaces it whenever the person has a higher pose score.

    So memory does not grow with the video, and a killed run keeps its pictures.

    Args:
        choose: Gives the file for an identity; called once for each.

    Attributes:
        paths: File of each identity.
    """

    def __init__(self, choose: Callable[[int], Path]) -> None:
        self._choose = choose
        self._scores: dict[int, float] = {}
        self.paths: dict[int, Path] = {}

    def write(self, found: FramePoses) -> None:
        """Write the pictures of the people who are seen better than before; the frame must not be drawn into yet.

        Raises:
            UserError: A picture cannot be written.
        """
        assert found.identities is not None
        people = zip(found.identities.tolist(), found.poses.pose_scores.tolist(), found.poses.boxes, strict=True)
        for identity, score, box in people:
            if identity == 0 or score <= self._scores.get(identity, 0.0):
                continue
            crop = person_crop(found.frame.image, box)
            if crop is not None:
                path = self.paths.get(identity) or self._choose(identity)
                make_folder(path.parent)
                write_image(path, crop)
                self._scores[identity], self.paths[identity] = score, path


class OpenPoseFolder:
    """Writes a JSON file per frame, named as OpenPose names them; ``person_id`` is the identity.

    Args:
        folder: A new folder.
        stem: Name of the video.
    """

    def __init__(self, folder: Path, stem: str) -> None:
        self.folder, self._stem = folder, stem

    def write(self, found: FramePoses) -> None:
        """Write the file of a frame.

        Raises:
            UserError: It cannot be written.
        """
        path = self.folder / f"{self._stem}_{found.frame.number:012}_keypoints.json"
        try:
            self.folder.mkdir(exist_ok=True)
            path.write_text(openpose_text(found.poses, found.identities), encoding="utf-8")
        except OSError as error:
            raise UserError(f"{path}: cannot be written ({error.strerror})") from error
