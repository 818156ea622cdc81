"""``litehrnet data``: check the data of a configuration and look at its samples; pack them for a training elsewhere."""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from litehrnet.cli import detection_test, segmentation_check
from litehrnet.cli.options import positive_int, progress_bar, say
from litehrnet.cli.published_options import note
from litehrnet.errors import UserError

if TYPE_CHECKING:
    from litehrnet.config.schema import RunConfig
    from litehrnet.data.checks import FileReport, Problem

SHEET_SAMPLES = 24


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``litehrnet data`` takes."""
    commands = parser.add_subparsers(dest="data_command", metavar="command", required=True)
    summary = "validate all annotations and photos of a configuration; write a contact sheet of augmented samples"
    check = commands.add_parser("check", help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
    check.add_argument("config", help="a recipe by file or name, or a published configuration file")
    check.add_argument("overrides", nargs="*", metavar="a.b=c", help="settings that replace those of the configuration")
    check.add_argument("--sheet", type=Path, default=Path("contact_sheet.jpg"), help="default: contact_sheet.jpg")
    summary = "pack what a recipe trains on into files of at most 60 MiB, and write the recipe that trains on them"
    pack = commands.add_parser("pack", help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
    pack.add_argument("config", help="a recipe by file or name, or a published configuration file")
    pack.add_argument("overrides", nargs="*", metavar="a.b=c", help="settings that replace those of the configuration")
    pack.add_argument("--out", type=Path, default=Path("packed"), metavar="DIR", help="new folder (default: packed)")
    pack.add_argument(
        "--longer-side",
        type=positive_int,
        metavar="PIXELS",
        help="pack the persons to train on as crops of at most this size (default: whole photos, unchanged)",
    )


@dataclass(frozen=True)
class Source:
    """One annotation file of a configuration.

    Attributes:
        role: What it is for.
        format: ``coco`` or ``mpii``.
        annotations: The file.
        images: Folder of its photos.
        keypoint_count: What every person must have; None for what the file says.
        trains: Whether its joints are trained on.
    """

    role: str
    format: str
    annotations: Path
    images: Path
    keypoint_count: int | None
    trains: bool


def run(options: argparse.Namespace) -> int:
    """Check or pack, and print; 1 if anything is wrong with the data.

    Raises:
        UserError: The configuration cannot be read, or files cannot be read or written.
    """
    return _pack(options) if options.data_command == "pack" else _check_all(options)


def _pack(options: argparse.Namespace) -> int:
    from litehrnet.config.packed import further_files, pack_sources, packed_config
    from litehrnet.config.read import load_config
    from litehrnet.config.write import differences, recipe_text
    from litehrnet.data.packing import pack
    from litehrnet.io.files import new_folder, write_bytes

    loaded = load_config(options.config, options.overrides)
    for text in loaded.notes:
        note(text)
    sources = pack_sources(loaded.config, options.longer_side)
    with new_folder(options.out) as folder:
        for source in sources:
            with progress_bar(source.name) as started:
                packed = pack(source, folder, started)
            size = sum(packed.sizes) / 1e6
            say(
                f"{options.out / source.name}: {packed.persons} persons with keypoints in {packed.photos} pictures, "
                f"{len(packed.sizes)} files, {size:.1f} MB"
            )
        config = packed_config(loaded.config, options.out.name)
        recipe = f"{config.name}.py"
        write_bytes(folder / recipe, recipe_text(config, differences(config, loaded.recipe)).encode())
    for name in further_files(config):
        say(f"not packed, but needed as well: {name}")
    say(f"beside the folder, wherever it is: litehrnet train {options.out.name}/{recipe}")
    return 0


def _check_all(options: argparse.Namespace) -> int:
    from litehrnet.config.read import load_config
    from litehrnet.io.images import WRITTEN_SUFFIXES
    from litehrnet.keypoints.sides import mirroring_text

    if options.sheet.suffix.lower() not in WRITTEN_SUFFIXES:
        raise UserError(f"{options.sheet}: no name for a picture (expected {', '.join(WRITTEN_SUFFIXES)})")
    loaded = load_config(options.config, options.overrides)
    for text in loaded.notes:
        note(text)
    config = loaded.config
    if config.segmentation is not None:
        return segmentation_check.run(config, options.sheet)
    if config.detection is not None:
        return detection_test.check(config, options.sheet)
    say(f"mirroring: {mirroring_text(config.keypoint_set)}")
    problems = _check_names(config)
    for source in _sources(config):
        report = _check(source)
        problems += report.problems
        say(
            f"{source.role}: {source.annotations}: {report.persons} persons with keypoints, "
            f"{len(report.photos)} photos, {len(report.problems)} problems"
        )
    problems += _check_tests(config)
    problems += _write_sheet(config, options.sheet)
    for problem in problems:
        say(str(problem))
    say(f"{len(problems)} problems" if problems else "no problems")
    return 1 if problems else 0


def _sources(config: "RunConfig") -> list[Source]:
    from litehrnet.keypoints.skeletons import find_keypoint_set

    sources = []
    for number, data in enumerate(config.train):
        count = len(find_keypoint_set(data.keypoints)) if data.keypoints else 16 if data.format == "mpii" else None
        role = f"train.{number}" if len(config.train) > 1 else "train"
        sources.append(Source(role, data.format, Path(data.annotations), Path(data.images), count, True))
    for role, test in (("validation", config.validation), ("test", config.test)):
        if test is not None:
            files = Path(test.annotations), Path(test.images)
            sources.append(Source(role, test.dataset, *files, len(config.keypoint_set), False))
    return _merged(sources)


def _merged(sources: list[Source]) -> list[Source]:
    """One source for each pair of file and folder, its roles joined: files are looked at once."""
    merged: dict[tuple[Path, Path], Source] = {}
    for source in sources:
        files = source.annotations, source.images
        if files in merged:
            first = merged[files]
            count = first.keypoint_count or source.keypoint_count
            source = replace(first, role=f"{first.role}, {source.role}", keypoint_count=count)
        merged[files] = source
    return list(merged.values())


def _check(source: Source) -> "FileReport":
    from litehrnet.data.checks import check_coco, check_mpii, check_photo

    if source.format == "mpii":
        count = source.keypoint_count or 16
        report = check_mpii(source.annotations, source.images, count, with_joints=source.trains)
    else:
        report = check_coco(source.annotations, source.images, source.keypoint_count)
    with progress_bar("photos") as started:
        done = started(len(report.photos))
        for photo in report.photos:
            report.problems += check_photo(photo)
            done(1)
    return report


def _check_tests(config: "RunConfig") -> "list[Problem]":
    """What is wrong with the boxes and lists of photos of the tests; those of ``train`` the contact sheet needs."""
    from litehrnet.data.checks import check_detections, check_photo_lists

    tests = {test for test in (config.validation, config.test) if test is not None and test.dataset == "coco"}
    problems: list[Problem] = []
    for test in tests:
        problems += check_photo_lists(Path(test.annotations), test.only, test.without)
        if test.boxes is not None:
            problems += check_detections(Path(test.boxes), Path(test.annotations), Path(test.images))
    return problems


def _check_names(config: "RunConfig") -> "list[Problem]":
    from litehrnet.data.checks import check_keypoint_set

    return check_keypoint_set(config.keypoint_set, str(config.keypoints))


def _write_sheet(config: "RunConfig", path: Path) -> "list[Problem]":
    """Write the contact sheet, or say why there can be none."""
    import numpy as np

    from litehrnet.data.checks import Problem
    from litehrnet.data.photos import PhotoCache
    from litehrnet.data.samples import make_batch
    from litehrnet.data.trainingset import read_training_set
    from litehrnet.drawing.contact_sheet import contact_sheet
    from litehrnet.io.images import write_image

    if not config.train:
        return []
    size, seed = config.input_size_wh, config.training.seed
    try:
        persons = read_training_set(config.train, config.keypoint_set, size, config.codec, config.augmentation, seed)
        indices = np.unique(np.linspace(0, len(persons) - 1, SHEET_SAMPLES).astype(int)).tolist()
        batch = make_batch(persons, 0, indices, PhotoCache())
    except UserError as error:
        return [Problem("", "no contact sheet", str(error))]
    write_image(path, contact_sheet(batch, persons))
    say(f"{path}: {len(indices)} of {len(persons)} samples as they are trained on")
    return []
