"""Output of a run over a video: records, and a drawn video."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

from litehrnet.arrays import Image
from litehrnet.results.rows import Found
from litehrnet.video.drawing import FrameDrawing
from litehrnet.video.per_person import BestCrops, OpenPoseFolder
from litehrnet.video.predicting import FramePoses
from litehrnet.video.records import RecordFile
from litehrnet.video.writing import VideoWriter


class Output:
    """Writes frames: the record first, then the picture.

    Args:
        records: File for the records.
        video: File for the drawn frames.
        drawing: Draws the frames; None for skeletons in the default style.
        tables: Files for tables, which the caller writes at the end; ``found`` is only collected for these.
        crops: Writes a picture of each identity; None for no pictures.
        openpose: Writes OpenPose's JSON of each frame; None for none.

    Attributes:
        found: People of each frame, for tables.
        show: Function that is also called with each drawn frame, uint8 (H, W, 3), RGB; None for no function.
        frames: Number of frames that were written.
        persons: Number of poses in these frames.
        identities: Identities in these frames, without 0.
    """

    def __init__(
        self,
        records: RecordFile,
        video: VideoWriter,
        drawing: FrameDrawing | None = None,
        tables: Sequence[Path] = (),
        crops: BestCrops | None = None,
        openpose: OpenPoseFolder | None = None,
    ) -> None:
        self.records, self.video, self.tables = records, video, tables
        self.crops, self.openpose = crops, openpose
        self.drawing = drawing or FrameDrawing()
        self.found: list[Found] = []
        self.show: Callable[[Image], object] | None = None
        self.frames = self.persons = 0
        self.identities: set[int] = set()

    def write(self, found: FramePoses) -> None:
        """Write a frame, and draw into its picture; see ``RecordFile.write`` and ``VideoWriter.write`` for errors."""
        self.records.write(found)
        if self.tables:
            where = {"frame": found.frame.number, "time": round(found.frame.time, 6)}
            smoothed = None if found.smoothed is None else found.smoothed.keypoints
            self.found.append(Found(replace(found.poses, image=None), where, found.identities, smoothed))
        if self.openpose is not None:
            self.openpose.write(found)
        if self.crops is not None:  # before the frame is drawn into
            self.crops.write(found)
        drawn = self.drawing.draw(found)
        self.video.write(drawn, found.frame.time)
        if self.show is not None:
            self.show(drawn)
        self.frames += 1
        self.persons += len(found.poses)
        if found.identities is not None:
            self.identities.update(found.identities[found.identities > 0].tolist())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *details: object) -> None:
        with self.records:
            self.video.__exit__(kind)
