"""A keypoint network and the detector of its objects, trained one after the other from the same annotations."""

import time
from dataclasses import replace
from pathlib import Path

from litehrnet.config.schema import LossConfig, RunConfig, with_outputs
from litehrnet.data.coco import read_annotations
from litehrnet.data.formats import BOX_FORMATS
from litehrnet.data.settings import AugmentationConfig, DetectionConfig, EvalConfig
from litehrnet.errors import UserError
from litehrnet.keypoints.codec import HeatmapCodec
from litehrnet.training.start import run_training
from litehrnet.weights.zoo import BUNDLED, DEFAULT_DETECTOR, DEFAULT_WEIGHTS

DETECTOR_INPUT_WH = (320, 320)
"""(width, height) of the detector's input in pixels, as in the bundled detector."""


def train_with_detector(
    config: RunConfig,
    recipe: RunConfig,
    notes: tuple[str, ...] = (),
    device: str | None = None,
    max_minutes: float | None = None,
) -> tuple[int, str | None]:
    """Train the keypoint network, then a detector of the same objects in the folder ``detector`` of the run.

    Arguments are those of ``run_training``; the time limit is for both networks.

    Returns:
        Exit code, see ``RunEnd``, and the command that predicts with both; None if the detector is not finished.

    Raises:
        UserError: The configuration or the data cannot be used, for one of the two networks.
    """
    started = time.monotonic()
    objects = object_name(config)
    folder = Path(config.work_dir or f"work_dirs/{config.name}")
    end = run_training(config, recipe, "none", notes, device, max_minutes)
    left = None if max_minutes is None else max_minutes - (time.monotonic() - started) / 60
    if not end.is_finished or (left is not None and left <= 0):
        return end.exit_code, None
    weights = best_weights(folder)
    start = bundled_start(config.variant, objects) or weights
    detector = detector_config(config, objects, folder / "detector", start)
    end = run_training(detector, detector, "none", (f"now the detector of {objects}:",), device, left)
    if not end.is_finished:
        return end.exit_code, None
    return 0, f"litehrnet predict PHOTOS --weights {weights} --detector {best_weights(end.folder)} --out-dir OUT"


def object_name(config: RunConfig) -> str:
    """Find the category whose boxes the detector learns: that of the keypoints in the first annotation file.

    Raises:
        UserError: The recipe has no keypoints in COCO's format, or several categories have keypoints.
    """
    sets = [data.format for data in config.train] + ([config.validation.format] if config.validation else [])
    if config.keypoints is None or not sets or any(name not in BOX_FORMATS for name in sets):
        raise UserError(f"{config.name}: --with-detector needs keypoints in annotations in COCO's format")
    first = config.train[0]
    annotations = read_annotations(Path(first.annotations), first.only, first.without)
    names = annotations.categories
    with_keypoints = {
        entry.get("category_id") for own in annotations.by_image.values() for entry in own if entry.get("keypoints")
    }
    found = [name for number, name in names.items() if number in with_keypoints] or list(names.values())
    if len(found) > 1:
        raise UserError(
            f"{first.annotations}: keypoints of {', '.join(found)} (expected one category with --with-detector)"
        )
    return found[0] if found else "object"


def bundled_start(variant: str, objects: str) -> Path | None:
    """Return the bundled person detector, if the run detects people with the same network; otherwise None."""
    bundled = BUNDLED / f"{DEFAULT_DETECTOR}.safetensors"
    fits = variant == DEFAULT_WEIGHTS and objects == DEFAULT_DETECTOR
    return bundled if fits and bundled.is_file() else None


def detector_config(config: RunConfig, objects: str, folder: Path, start: Path) -> RunConfig:
    """Make the configuration of the detector, with the data, schedule and network of the keypoint network.

    Args:
        config: Configuration of the keypoint network, before settings are fitted to the number of samples.
        objects: Name of the category.
        folder: Folder for the run's files.
        start: Weights to start from.
    """
    validation = config.validation
    if validation is not None:
        validation = EvalConfig(
            validation.format,
            validation.annotations,
            validation.images,
            only=validation.only,
            without=validation.without,
        )
    detector = replace(
        config,
        name=f"{config.name}_detector",
        input_size_wh=DETECTOR_INPUT_WH,
        keypoints=None,
        detection=DetectionConfig(objects=objects),
        codec=HeatmapCodec(),
        augmentation=AugmentationConfig(),
        train=tuple(replace(data, keypoints=None) for data in config.train),
        training=replace(config.training, loss=LossConfig("boxes"), best_by=None),
        distill=None,
        validation=validation,
        test=None,
        work_dir=str(folder),
        load_from=str(start),
        # A named checkpoint belongs to the keypoint network only.
        resume_from=None if config.resume_from is None else "latest",
    )
    return with_outputs(detector)


def best_weights(folder: Path) -> Path:
    """Return the weights of a finished run: the best by evaluation, or the last without evaluations."""
    best = folder / "best.safetensors"
    return best if best.exists() else folder / "last.safetensors"
