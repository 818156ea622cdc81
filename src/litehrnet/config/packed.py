"""Data sets of a recipe to pack, and the recipe that trains on the packed sets."""

from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from litehrnet.config.schema import RunConfig
from litehrnet.config.write import settings
from litehrnet.data.formats import COCO
from litehrnet.data.packing import ANNOTATIONS, PackSource
from litehrnet.data.settings import DataConfig, EvalConfig
from litehrnet.errors import UserError

_Data = TypeVar("_Data", DataConfig, EvalConfig)


def pack_sources(config: RunConfig, longer_side: int | None, quality: int | None = None) -> list[PackSource]:
    """Find the data sets to pack: all of ``train``, and ``validation`` with whole photos, so that its metrics stay.

    Args:
        config: Any recipe.
        longer_side: Longest side in pixels of the crops of people to train on; None for whole photos.
        quality: WebP quality of these crops, 1 to 100; None for JPEG.

    Raises:
        UserError: The recipe has no keypoints or no ``train``, a set is not in COCO's format, or validation uses
            detected boxes.
    """
    if config.task != "keypoints":
        raise UserError(
            f"{config.name}: data for {config.task} is not packed (expected a recipe with keypoints; copy the folders "
            "instead)"
        )
    if not config.train:
        raise UserError(f"{config.name}: has no train (expected data sets to pack)")
    if quality is not None and (longer_side is None or quality > 100):
        raise UserError(
            f"--quality {quality}: only works with --longer-side (expected both, and a quality of 1 to 100)"
        )
    size = config.input_size_wh
    crops = longer_side, quality
    sources = [_source(f"train-{number}", data, size, *crops) for number, data in enumerate(config.train)]
    validation = config.validation
    if validation is not None:
        if validation.boxes is not None:
            raise UserError(f"{config.name}: a detector's boxes are not packed (expected validation without boxes)")
        sources.append(_source("validation", validation, size, None, None))
    return sources


def _source(
    name: str, data: DataConfig | EvalConfig, size_wh: tuple[int, int], longer_side: int | None, quality: int | None
) -> PackSource:
    if data.format != COCO.name:
        raise UserError(f"{data.annotations}: annotations in the format {data.format} are not packed (expected coco)")
    files = Path(data.annotations), Path(data.images), data.only, data.without
    return PackSource(name, *files, size_wh, longer_side, quality)


def packed_config(config: RunConfig, folder: str) -> RunConfig:
    """Make the recipe for the packed sets, which contain only the listed photos; ``test`` is dropped.

    Args:
        config: Recipe that was packed.
        folder: Folder of the packed sets, relative to where the training starts.
    """
    train = tuple(_placed(data, f"{folder}/train-{number}") for number, data in enumerate(config.train))
    validation = config.validation
    if validation is not None:
        validation = _placed(validation, f"{folder}/validation")
    return replace(config, train=train, validation=validation, test=None)


def _placed(data: _Data, folder: str) -> _Data:
    return replace(data, annotations=f"{folder}/{ANNOTATIONS}", images=folder, only=None, without=None)


def further_files(config: RunConfig) -> list[str]:
    """Find files that a recipe names beside its data, such as initial weights; they are not packed."""
    others = settings(replace(config, train=(), validation=None, test=None))
    return sorted({value for _, value in others if isinstance(value, str) and Path(value).is_file()})
