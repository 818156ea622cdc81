"""``litehrnet predict`` for videos, cameras and streams: a drawn video and JSON lines for each."""

import argparse
import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from litehrnet.arrays import Image
from litehrnet.cli import result_tables
from litehrnet.cli.options import drawing_style, pose_estimator, progress_bar, say, say_aligned, say_people
from litehrnet.cli.outputs import OutputFolder
from litehrnet.errors import UserError
from litehrnet.optional import require

if TYPE_CHECKING:
    from litehrnet.cli.inputs import Inputs
    from litehrnet.inference.estimator import PoseEstimator
    from litehrnet.runtimes import Runtime
    from litehrnet.video.output import Output
    from litehrnet.video.reading import VideoReader
    from litehrnet.video.sources import Source


CROPS = "crops/{}.jpg"
"""Name of a person's picture, with ``{}`` for its stem."""

Show = Callable[["Image"], None]
"""Shows a drawn frame."""


def run(options: argparse.Namespace, sources: "Sequence[Source]", runtime: "Runtime", out: OutputFolder) -> None:
    """Predict, draw and write video after video, each frame by frame; a bad one among several does not stop the others.

    Raises:
        UserError: An input or option cannot be used. Or a video is truncated or damaged, or a camera stopped. Then all
            frames that could be read have been written, and so have the other videos.
    """
    require("av", "video", "reading videos")
    estimator = pose_estimator(options, runtime, with_detector=True)
    say_people(options, estimator, "no detector: one person is followed")
    problems: list[str] = []
    summary: list[tuple[str, ...]] = [("video", "frames", "seconds", "poses", "people")]
    with contextlib.ExitStack() as stack:
        show = stack.enter_context(_page()) if options.show else None
        for source in sources:
            try:
                _predict(options, source, estimator, out, show, summary)
            except UserError as error:
                problems.append(str(error))
    if len(summary) > 2:
        say_aligned(summary, numbers=(1, 2, 3, 4))
    if problems:
        raise UserError("; ".join(problems))


def _predict(
    options: argparse.Namespace,
    source: "Source",
    estimator: "PoseEstimator",
    out: OutputFolder,
    show: Show | None,
    summary: list[tuple[str, ...]],
) -> None:
    """Predict, draw and write one video, and add its row to the summary; errors as in ``run``."""
    from litehrnet.video.overlap import Background, read_ahead
    from litehrnet.video.predicting import predict_frames
    from litehrnet.video.reading import VideoReader

    reader = VideoReader(source, start=options.start, end=options.end, every=options.every, threads=options.threads)
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        output = _output(options, reader, out)
        stack.callback(lambda: summary.extend(_report(options, output, out, time.monotonic() - began)))
        stack.enter_context(output)
        output.show = show
        progress = stack.enter_context(progress_bar("frames"))
        progress.start(reader.expected)
        written = stack.enter_context(Background(output.write))
        frames = read_ahead(reader, skip=reader.endless)
        for found in predict_frames(
            estimator, frames, track=options.track is not False, smooth=options.smooth or options.side_by_side
        ):
            written.put(found)
            progress.advance(1)


@contextlib.contextmanager
def _page() -> Iterator[Show]:
    """Open a page in the browser; yield the function that shows a frame on it."""
    from litehrnet.io.images import encode_image
    from litehrnet.serving.content import LatestFrame
    from litehrnet.serving.show import open_show

    frames = LatestFrame()
    with open_show(frames) as site:
        say(f"show: {site.url}")
        sys.stdout.flush()  # a program that reads our output needs the address now
        try:
            yield lambda image: frames.publish(encode_image(image, ".jpg", quality=80))
        finally:
            frames.end()


def check(options: argparse.Namespace, inputs: "Inputs") -> None:
    """Refuse options and combinations of inputs that do not work with videos.

    Raises:
        UserError: An option does not work with videos, or an endless source is not alone.
    """
    live = [source.name for source in inputs.sources if source.endless]
    if live and len(inputs.sources) + len(inputs.photos) > 1:
        raise UserError(f"{live[0]}: never ends, so other inputs would wait forever (expected it alone)")
    if options.boxes:
        raise UserError("--boxes: only works with photos (expected --detector for videos)")
    if options.show:
        require("tornado", "video", "--show")
    result_tables.wanted(options)
    for name in ("trails", "save_crops"):
        if getattr(options, name) and options.track is False:
            raise UserError(f"--{name.replace('_', '-')}: needs identities (expected no --no-track)")
    if options.end is not None and options.end <= options.start:
        raise UserError(f"--end {options.end:g}: not after --start {options.start:g} (expected a later time)")


def _output(options: argparse.Namespace, reader: "VideoReader", out: OutputFolder) -> "Output":
    from litehrnet.video.drawing import FrameDrawing
    from litehrnet.video.output import Output
    from litehrnet.video.per_person import BestCrops, OpenPoseFolder
    from litehrnet.video.records import RecordFile
    from litehrnet.video.writing import VideoWriter

    source = reader.source
    tables = result_tables.patterns(result_tables.wanted(options))
    # The sound decides between MP4 and Matroska.
    records, _, _, *table_paths = out.choose(source.stem, "{}.jsonl", "{}.mp4", "{}.mkv", *tables)
    video = VideoWriter(
        records.with_suffix(""),
        reader.rate,
        sound_of=None if reader.endless else source,
        start=options.start,
        end=options.end,
        pixel_aspect=reader.pixel_aspect,
        endless=reader.endless,
        threads=options.threads,
    )
    drawing = FrameDrawing(drawing_style(options), trails=options.trails, side_by_side=options.side_by_side)
    name, crops, openpose = records.stem, None, None
    if options.save_crops:
        crops = BestCrops(lambda identity: out.choose(f"{name}_id{identity}", CROPS)[0])
    if options.openpose:
        (folder,) = out.choose(name, "{}_openpose")
        openpose = OpenPoseFolder(folder, name)
    return Output(RecordFile(records), video, drawing, tables=table_paths, crops=crops, openpose=openpose)


def _report(options: argparse.Namespace, output: "Output", out: OutputFolder, seconds: float) -> list[tuple[str, ...]]:
    """Write the tables; record and print what was written, also of a run that broke off; return rows for a summary."""
    if not output.frames:
        return []
    result_tables.write(result_tables.wanted(options), output.tables, output.found)
    files = [output.video.path, output.records.path, *output.tables]
    out.record(*(path for path in files if path.exists()))
    if output.crops is not None and output.crops.paths:
        out.record(*output.crops.paths.values())
        files.append(next(iter(output.crops.paths.values())).parent)
    if output.openpose is not None:
        files.append(output.openpose.folder)
    say(
        f"{', '.join(map(str, files))}: {output.frames} frames, {output.persons} poses, "
        f"{output.frames / seconds:.1f} frames per second"
    )
    if not output.persons:
        say("nobody found")
    people = "-" if options.track is False else str(len(output.identities))
    return [(output.video.path.name, str(output.frames), f"{seconds:.1f}", str(output.persons), people)]
