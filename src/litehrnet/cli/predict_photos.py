"""``litehrnet predict`` for keypoints in photos: drawn pictures and JSON in COCO's results format."""

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from litehrnet.cli import result_tables
from litehrnet.cli.options import drawing_style, few, pose_estimator, progress_bar, say, say_people
from litehrnet.cli.outputs import OutputFolder
from litehrnet.errors import UserError

if TYPE_CHECKING:
    from litehrnet.cli.box_files import PhotoBoxes
    from litehrnet.inference.estimator import PoseEstimator
    from litehrnet.inference.photo import Photo
    from litehrnet.poses import Poses
    from litehrnet.results.rows import Found
    from litehrnet.runtimes import Runtime

RESULTS = "keypoints"
"""Name of the results file, without ``.json``."""


@dataclass
class _Report:
    """Outcome of a run over photos.

    Attributes:
        photos: Number of photos that were processed.
        results: People, in COCO's results format.
        found: The same people for tables, by photo; empty if no table is asked for.
        nobody: Names of photos in which no people were found.
        left_out: One sentence for each photo or box that could not be used.
        unusable: Number of photos that could not be used.
    """

    photos: int = 0
    results: list[dict[str, Any]] = field(default_factory=list)
    found: "list[Found]" = field(default_factory=list)
    nobody: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    unusable: int = 0


def run(options: argparse.Namespace, files: Sequence[Path], runtime: "Runtime", out: OutputFolder) -> int:
    """Find keypoints in photos; a bad photo among several does not stop the others.

    Returns:
        0, or 1 if photos or boxes were left out.

    Raises:
        UserError: The detector or boxes cannot be used, results cannot be written, or no photo can be read.
    """
    from litehrnet.cli.box_files import number_of, read_boxes
    from litehrnet.io.files import write_bytes

    # The others are those of the videos in the same run.
    tables = [name for name in result_tables.wanted(options) if not result_tables.TABLES[name].tracks]
    box_file = None if options.boxes is None else read_boxes(options.boxes, options.min_box_score)
    matched = None if box_file is None else box_file.match(files)
    estimator = pose_estimator(options, runtime, with_detector=matched is None)
    if box_file is None or matched is None:
        say_people(options, estimator)
        numbers: Mapping[Path, int | str | None] = {file: number_of(file) for file in files}
    else:
        _say_boxes(options.boxes, box_file.notes, matched)
        numbers = {file: None if isinstance(own, UserError) else own.image_id for file, own in matched.items()}
    ids, report = image_ids(numbers), _Report()
    photos = _read(files, options, estimator, matched, report)
    _predict(photos, len(files), options, estimator, ids, out, report)
    if report.unusable == len(files):
        raise UserError("; ".join(report.left_out))
    path, *table_paths = paths = out.choose(RESULTS, "{}.json", *result_tables.patterns(tables))
    write_bytes(path, (json.dumps(report.results, indent=1) + "\n").encode())
    result_tables.write(tables, table_paths, report.found)
    out.record(*paths)
    _say_report(report, out, ", ".join(each.name for each in paths))
    return 1 if report.left_out else 0


def _read(
    files: Sequence[Path],
    options: argparse.Namespace,
    estimator: "PoseEstimator",
    matched: "Mapping[Path, PhotoBoxes | UserError] | None",
    report: _Report,
) -> Iterator["Photo"]:
    """Yield the photos with their boxes; report those that cannot be used."""
    from litehrnet.cli.box_files import usable_boxes
    from litehrnet.inference.photo import make_photo
    from litehrnet.io.images import read_image

    for file in files:
        name, most = str(file), options.max_persons
        try:
            if matched is None:
                yield make_photo(file, name=name, detector=estimator.detector, max_persons=most)
                continue
            own = matched[file]
            if isinstance(own, UserError):
                raise own
            image = read_image(file)
            boxes, scores, problems = usable_boxes(own, (image.shape[1], image.shape[0]), name)
            if problems and not len(boxes):
                raise UserError("; ".join(problems))
            report.left_out += problems
            yield replace(make_photo(image, boxes, scores, name, max_persons=most), detected=own.detected)
        except UserError as error:
            report.left_out.append(str(error))
            report.unusable += 1


def _predict(
    photos: Iterator["Photo"],
    count: int,
    options: argparse.Namespace,
    estimator: "PoseEstimator",
    ids: Mapping[Path, int | str],
    out: OutputFolder,
    report: _Report,
) -> None:
    """Process the photos one by one: find keypoints, draw them and write the picture."""
    from litehrnet.drawing.skeletons import draw_poses
    from litehrnet.inference.estimator import is_seen
    from litehrnet.io.images import write_image
    from litehrnet.results.rows import Found

    style = drawing_style(options)
    detecting = options.boxes is not None or estimator.detector is not None
    with progress_bar("photos") as progress:
        progress.start(count)
        for photo, found in estimator.predict_many(photos):
            # A box shows a person; a whole picture may show none.
            poses: Poses = found if detecting else found[is_seen(found)]
            file = Path(photo.name)
            (picture,) = out.choose(file.stem, "{}" + picture_suffix(file))
            write_image(picture, draw_poses(photo.image, poses, style=style))
            out.record(picture)
            _write_more(options, photo, poses, picture, out)
            report.photos += 1
            report.results += [{**entry, "file_name": photo.name} for entry in poses.to_coco(ids[file])]
            if options.csv or options.parquet:
                report.found.append(Found(poses, {"image": photo.name, "image_id": ids[file]}))
            if not len(poses):
                report.nobody.append(photo.name)
            progress.advance(1)


def _write_more(options: argparse.Namespace, photo: "Photo", poses: "Poses", picture: Path, out: OutputFolder) -> None:
    """Write a picture of each person and OpenPose's JSON, if the options ask for them; ``picture`` is the drawn one."""
    from litehrnet.drawing.crops import person_crop
    from litehrnet.io.files import make_folder, write_bytes
    from litehrnet.io.images import write_image
    from litehrnet.results.openpose import openpose_text

    for number, box in enumerate(poses.boxes) if options.save_crops else ():
        crop = person_crop(photo.image, box)
        if crop is not None:
            (path,) = out.choose(f"{picture.stem}_{number}", "crops/{}" + picture.suffix)
            make_folder(path.parent)
            write_image(path, crop)
            out.record(path)
    if options.openpose:
        (path,) = out.choose(picture.stem, "openpose/{}_keypoints.json")
        make_folder(path.parent)
        write_bytes(path, openpose_text(poses).encode())
        out.record(path)


def image_ids(numbers: Mapping[Path, int | str | None]) -> dict[Path, int | str]:
    """Choose COCO's id of each photo: its own number if that is unique, otherwise one above all of these.

    Args:
        numbers: Ids from the box file or the photos' names; None for photos without one.
    """
    counts = Counter(numbers.values())
    kept = {file: number for file, number in numbers.items() if number is not None and counts[number] == 1}
    following = 1 + max((number for number in kept.values() if isinstance(number, int)), default=0)
    ids: dict[Path, int | str] = {}
    for file in numbers:
        if file in kept:
            ids[file] = kept[file]
        else:
            ids[file], following = following, following + 1
    return ids


def picture_suffix(photo: Path) -> str:
    """Choose the suffix of the drawn picture: the photo's if that format can be written, ``.jpg`` or ``.png``."""
    from litehrnet.io.images import LOSSY_SUFFIXES, WRITTEN_SUFFIXES

    suffix = photo.suffix.lower()
    if suffix in WRITTEN_SUFFIXES:
        return photo.suffix
    return ".jpg" if suffix in LOSSY_SUFFIXES else ".png"


def say_moved(out: OutputFolder) -> None:
    """Print the output names that were taken, and those used instead."""
    moved = [f"{chosen} ({wished.name} was taken)" for wished, chosen in out.moved.items()]
    if moved:
        say(f"other names: {few(moved)}")


def say_passed_over(counts: Mapping[str, int]) -> None:
    """Print how many files in the folders were not used, by suffix."""
    if counts:
        say("skipped: " + ", ".join(f"{count} {kind}" for kind, count in counts.items()))


def _say_boxes(path: Path, notes: Sequence[str], matched: "Mapping[Path, PhotoBoxes | UserError]") -> None:
    for note in notes:
        say(note)
    if not any(isinstance(own, UserError) or own.boxes for own in matched.values()):
        say(f"{path}: has no boxes for these photos")


def _say_report(report: _Report, out: OutputFolder, files: str) -> None:
    people = len(report.results)
    say(f"{out.path}: {files} and drawn pictures (photos: {report.photos}, people: {people})")
    if report.nobody:
        some = f" in {len(report.nobody)} of {report.photos} photos" if people else ""
        say(f"nobody found{some}: {few(report.nobody)}")
    say_moved(out)
    for problem in report.left_out:
        say(f"left out: {problem}")
