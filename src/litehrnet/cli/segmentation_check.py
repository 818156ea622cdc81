"""``litehrnet data check`` for segmentation: every photo and label image decoded, and a sheet of tinted samples."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from litehrnet.cli.options import say
from litehrnet.errors import UserError

if TYPE_CHECKING:
    from litehrnet.config.schema import RunConfig

SHEET_SAMPLES = 12
_COLUMNS = 3


def run(config: "RunConfig", sheet: Path) -> int:
    """Check and print; 1 if anything is wrong with the data.

    Raises:
        UserError: The sheet cannot be written, or the class list cannot be read.
    """
    from litehrnet.data.segmentation import check_labeled_images, labeled_images, unknown_ids
    from litehrnet.segmentation.classes import find_class_set

    assert config.segmentation is not None
    class_set = find_class_set(config.segmentation.classes)
    problems: list[str] = []
    for role, layout, images, labels in _sources(config):
        try:
            records = labeled_images(layout, images, labels)
            check_labeled_images(records, labels)
        except UserError as error:
            problems.append(f"{role}: {error}")
            continue
        problems += [f"{role}: {said}" for said in unknown_ids(records, class_set)]
        say(f"{role}: {len(records)} images in {images}")
    if config.train and not problems:
        _write_sheet(config, sheet)
    for problem in problems:
        say(problem)
    say(f"{len(problems)} problems" if problems else "no problems")
    return 1 if problems else 0


def _sources(config: "RunConfig") -> Iterator[tuple[str, str, str, str]]:
    for number, data in enumerate(config.train):
        yield f"train.{number}" if len(config.train) > 1 else "train", data.format, data.images, data.annotations
    for role, test in (("validation", config.validation), ("test", config.test)):
        if test is not None:
            yield role, test.dataset, test.images, test.annotations


def _write_sheet(config: "RunConfig", path: Path) -> None:
    import numpy as np

    from litehrnet.data.photos import PhotoCache
    from litehrnet.data.segmentation import read_segmentation_set
    from litehrnet.data.segmentation_samples import make_segmentation_batch
    from litehrnet.drawing.class_maps import tinted
    from litehrnet.drawing.contact_sheet import in_rows
    from litehrnet.io.images import write_image
    from litehrnet.segmentation.classes import find_class_set

    assert config.segmentation is not None
    class_set = find_class_set(config.segmentation.classes)
    size, seed = config.input_size_wh, config.training.seed
    images = read_segmentation_set(config.train, class_set, size, config.segmentation, seed)
    indices = np.unique(np.linspace(0, len(images) - 1, SHEET_SAMPLES).astype(int)).tolist()
    batch = make_segmentation_batch(images, 0, indices, PhotoCache())
    tiles = [tinted(image, classes, class_set) for image, classes in zip(batch.images, batch.targets, strict=True)]
    write_image(path, in_rows(tiles, _COLUMNS))
    say(f"{path}: {len(indices)} of {len(images)} samples as they are trained on")
