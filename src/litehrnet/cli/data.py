"""``litehrnet data``: check or pack the data of a recipe, or convert annotations of another tool."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from litehrnet.cli import detection, segmentation
from litehrnet.cli.options import add_command, add_config, note, positive_int, progress_bar, say
from litehrnet.config.packed import further_files, pack_sources, packed_config
from litehrnet.config.read import LoadedConfig, load_config
from litehrnet.config.schema import RunConfig
from litehrnet.config.write import differences, recipe_text
from litehrnet.data.annotations import normalized
from litehrnet.data.checks import (
    FileReport,
    Problem,
    check_detections,
    check_keypoint_set,
    check_photo,
    check_photo_lists,
)
from litehrnet.data.contact_sheet import SAMPLES, contact_sheet, spread
from litehrnet.data.formats import find_format
from litehrnet.data.packing import pack
from litehrnet.data.photos import PhotoCache
from litehrnet.data.samples import make_batch
from litehrnet.data.settings import DataConfig, EvalConfig
from litehrnet.data.tools.kinds import KINDS, read_project
from litehrnet.data.tools.writing import converted
from litehrnet.data.trainingset import read_training_set
from litehrnet.errors import UserError
from litehrnet.io.files import new_folder, write_bytes
from litehrnet.io.images import WRITTEN_SUFFIXES, write_image
from litehrnet.keypoints.sides import mirroring_text
from litehrnet.keypoints.skeletons import find_keypoint_set


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``litehrnet data``."""
    commands = parser.add_subparsers(dest="data_command", metavar="command", required=True)
    summary = "validate all annotations and photos of a configuration; write a contact sheet of augmented samples"
    check = add_command(commands, "check", summary)
    add_config(check)
    check.add_argument("--sheet", type=Path, default=Path("contact_sheet.jpg"), help="default: contact_sheet.jpg")
    summary = "pack the training data of a recipe into files of at most 60 MiB, with a recipe that trains on them"
    pack = add_command(commands, "pack", summary)
    add_config(pack)
    pack.add_argument("--out", type=Path, default=Path("packed"), metavar="DIR", help="new folder (default: packed)")
    pack.add_argument(
        "--longer-side",
        type=positive_int,
        metavar="PIXELS",
        help="pack people as crops of at most this size (default: whole, unchanged photos)",
    )
    quality = "pack the crops as WebP of this quality, 1 to 100 (default: JPEG of a high quality)"
    pack.add_argument("--quality", type=positive_int, metavar="N", help=quality)
    summary = "convert annotations of CVAT, Label Studio, YOLO-pose, DeepLabCut or SLEAP to an annotation file"
    convert = add_command(commands, "convert", summary)
    convert.add_argument("source", type=Path, help="file or folder of the tool, see docs/own_keypoints.md")
    convert.add_argument(
        "--out",
        type=Path,
        default=Path("annotations.json"),
        metavar="FILE",
        help="new file; a set with parts becomes FILE_train.json and so on (default: annotations.json)",
    )
    convert.add_argument(
        "--from", dest="kind", choices=tuple(KINDS), help="kind of the annotations (default: recognized by the content)"
    )
    convert.add_argument(
        "--images", type=Path, metavar="DIR", help="folder of the photos, if the tool does not store their sizes"
    )


def run(options: argparse.Namespace) -> int:
    """Check, pack or convert, and print; 1 if anything is wrong with the data.

    Raises:
        UserError: The configuration cannot be read, or files cannot be read or written.
    """
    return {"check": _check_all, "pack": _pack, "convert": _convert}[options.data_command](options)


def _convert(options: argparse.Namespace) -> int:
    out = options.out
    if out.suffix.lower() != ".json":
        raise UserError(f"{out}: not a name for annotations (expected one that ends in .json)")
    project = read_project(options.source, options.kind)
    images = options.images or project.images
    parts = {
        out.with_stem(f"{out.stem}_{part.split}") if part.split else out: part for part in converted(project, images)
    }
    for path, part in parts.items():
        if path.exists():
            raise UserError(f"{path}: exists already (expected the name of a new file)")
        normalized(options.source, part.content)  # what training would refuse is not written
    for path, part in parts.items():
        write_bytes(path, json.dumps(part.content).encode())
        content = part.content
        say(
            f"{path}: {len(content['images'])} photos, {len(content['annotations'])} objects, "
            f"{part.keypoints} labeled keypoints"
        )
        for what, count in part.notes.items():
            say(f"  {what}: {count}")
    for what, count in project.left_out.items():
        if count:
            say(f"left out: {what}: {count}")
    for category in project.categories:
        say(f"keypoints of {category.name}: {', '.join(category.keypoint_names)}")
    if len(project.categories) > 1:
        say(f"training and evaluation take the first category with keypoints, {project.categories[0].name}")
    say(f"names of photos are relative to {images}")
    return 0


def _pack(options: argparse.Namespace) -> int:
    loaded = _load(options)
    sources = pack_sources(loaded.config, options.longer_side, options.quality)
    with new_folder(options.out) as folder:
        for source in sources:
            with progress_bar(source.name) as progress:
                packed = pack(source, folder, progress)
            size = sum(packed.sizes) / 1e6
            say(
                f"{options.out / source.name}: {packed.persons} people with keypoints in {packed.photos} pictures, "
                f"{len(packed.sizes)} files, {size:.1f} MB"
            )
        config = packed_config(loaded.config, options.out.name)
        recipe = f"{config.name}.py"
        write_bytes(folder / recipe, recipe_text(config, differences(config, loaded.recipe)).encode())
    for name in further_files(config):
        say(f"not packed, but needed as well: {name}")
    say(f"to train elsewhere, copy the folder and run beside it: litehrnet train {options.out.name}/{recipe}")
    return 0


def _load(options: argparse.Namespace) -> LoadedConfig:
    loaded = load_config(options.config, options.overrides)
    for text in loaded.notes:
        note(text)
    return loaded


def _check_all(options: argparse.Namespace) -> int:
    if options.sheet.suffix.lower() not in WRITTEN_SUFFIXES:
        raise UserError(f"{options.sheet}: not a name for a picture (expected {', '.join(WRITTEN_SUFFIXES)})")
    loaded = _load(options)
    config = loaded.config
    problems = _CHECKS[config.task](config, options.sheet)
    for problem in problems:
        say(problem)
    say(f"{len(problems)} problems" if problems else "no problems")
    return 1 if problems else 0


def _check_keypoints(config: RunConfig, sheet: Path) -> list[str]:
    """Check annotations and photos, and draw samples as the network sees them; return everything that is wrong."""
    say(f"mirroring: {mirroring_text(config.keypoint_set)}")
    problems = check_keypoint_set(config.keypoint_set, str(config.keypoints))
    for roles, annotations, report in _reports(config):
        problems += report.problems
        say(
            f"{roles}: {annotations}: {report.persons} people with keypoints, "
            f"{len(report.photos)} photos, {len(report.problems)} problems"
        )
    problems += _check_tests(config)
    problems += _write_sheet(config, sheet)
    return [str(problem) for problem in problems]


def _reports(config: RunConfig) -> Iterator[tuple[str, str, FileReport]]:
    """Check every annotation file and its photos once; yield the settings that name it, the file and its report."""
    files: dict[tuple[str, str, str | None], list[tuple[str, DataConfig | EvalConfig]]] = {}
    for role, data in config.sources():
        files.setdefault((data.annotations, data.images, data.category), []).append((role, data))
    for (annotations, images, category), uses in files.items():
        first = uses[0][1]
        count = next(filter(None, (_keypoint_count(config, data) for _, data in uses)), None)
        trains = isinstance(first, DataConfig)
        report = find_format(first.format).check(Path(annotations), Path(images), count, trains, category)
        with progress_bar("photos") as progress:
            progress.start(len(report.photos))
            for photo in report.photos:
                report.problems += check_photo(photo)
                progress.advance(1)
        yield ", ".join(role for role, _ in uses), annotations, report


def _keypoint_count(config: RunConfig, data: DataConfig | EvalConfig) -> int | None:
    """Number of keypoints that people must have; None for what the file says."""
    if isinstance(data, EvalConfig):
        return len(config.keypoint_set)
    return len(find_keypoint_set(data.keypoints)) if data.keypoints else None


def _check_tests(config: RunConfig) -> list[Problem]:
    """Check the boxes and lists of photos of ``validation`` and ``test``; the contact sheet checks ``train``."""
    tests = {test for test in (config.validation, config.test) if test is not None}
    problems: list[Problem] = []
    for test in tests:
        form = find_format(test.format)
        if not form.takes_boxes:
            continue
        problems += check_photo_lists(Path(test.annotations), test.only, test.without, form.load)
        if test.boxes is not None:
            problems += check_detections(Path(test.boxes), Path(test.annotations), Path(test.images), form.load)
    return problems


def _write_sheet(config: RunConfig, path: Path) -> list[Problem]:
    """Write the contact sheet, or return why it cannot be written."""
    if not config.train:
        return []
    size, seed = config.input_size_wh, config.training.seed
    try:
        persons = read_training_set(config.train, config.keypoint_set, size, config.codec, config.augmentation, seed)
        indices = spread(len(persons), SAMPLES)
        batch = make_batch(persons, 0, indices, PhotoCache())
    except UserError as error:
        return [Problem("", "no contact sheet", str(error))]
    write_image(path, contact_sheet(batch, persons))
    say(f"{path}: {len(indices)} of {len(persons)} training samples")
    return []


_CHECKS = {
    "keypoints": _check_keypoints,
    "segmentation": segmentation.check,
    "detection": detection.check,
}
