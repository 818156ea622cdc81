"""The published command line ``tools/test.py`` with a recipe that segments: what it is to poses, with mIoU."""

import argparse
from typing import TYPE_CHECKING

from litehrnet.cli.options import progress_bar, say
from litehrnet.cli.published_test import introduce, prepared, published_runtime
from litehrnet.cli.segmentation_test import take_classes
from litehrnet.errors import UserError
from litehrnet.optional import require

if TYPE_CHECKING:
    from litehrnet.config.read import LoadedConfig
    from litehrnet.config.schema import RunConfig
    from litehrnet.evaluation.segmentation import SegmentationTest
    from litehrnet.inference.segmenter import Segmenter
    from litehrnet.runtimes import Runtime


def run(options: argparse.Namespace, loaded: "LoadedConfig") -> int:
    """Test and print the figures; predictions become label images in the folder ``--out``.

    Args:
        options: Of ``tools/test.py``.
        loaded: A configuration of a network that segments.

    Raises:
        UserError: Something that was named is missing, broken, or does not belong together.
    """
    from litehrnet.evaluation.segmentation import confusion_of, read_segmentation_test
    from litehrnet.segmentation.confusion import figures

    if options.out is not None and options.out.suffix:
        raise UserError(f"{options.out}: no folder (expected one to write label images to, as this network segments)")
    if options.launcher != "none":
        return _run_together(options, loaded)
    segmenter = _segmenter(options, loaded.config, None)
    test = read_segmentation_test(loaded.config.tested_on, segmenter.class_set)
    introduce(segmenter.runtime, options, loaded, test.how)
    with progress_bar("images") as started:
        matrix = confusion_of(segmenter, test.records, started(len(test.records)), options.out)
    _print(figures(matrix, segmenter.class_set.class_names), test)
    return 0


def _run_together(options: argparse.Namespace, loaded: "LoadedConfig") -> int:
    """Each of the launcher's processes has its share of the images; the first one prints."""
    require("torch", "train", f"--launcher {options.launcher}")
    import torch

    from litehrnet.evaluation.segmentation import read_segmentation_test
    from litehrnet.training.distributed import joined
    from litehrnet.training.segmentation import evaluate_segmenter

    with joined(options.launcher) as processes:
        # As many threads as the launcher allows each process, not as there are cores.
        segmenter = _segmenter(options, loaded.config, torch.get_num_threads())
        test = read_segmentation_test(loaded.config.tested_on, segmenter.class_set)
        folder = None if options.gpu_collect else options.tmpdir
        if not processes.is_first:
            evaluate_segmenter(segmenter, test, processes, folder, options.out)
            return 0
        introduce(segmenter.runtime, options, loaded, test.how)
        with progress_bar("images (of the first process)") as started:
            found = evaluate_segmenter(segmenter, test, processes, folder, options.out, started)
    assert found is not None
    _print(found, test)
    return 0


def _segmenter(options: argparse.Namespace, config: "RunConfig", threads: int | None) -> "Segmenter":
    from litehrnet.inference.segmenter import Segmenter
    from litehrnet.runtimes import open_runtime

    def open_at(size_wh: tuple[int, int] | None) -> "Runtime":
        size_wh, name = size_wh or config.input_size_wh, published_runtime(options.checkpoint)
        opened = open_runtime(options.checkpoint, name, input_size_wh=size_wh, threads=threads)
        return prepared(opened, options.fuse_conv_bn)

    test = config.tested_on
    segmenter = Segmenter(open_at, window=test.window, flip=test.flip, scales=test.scales)
    take_classes(segmenter, config, options.checkpoint)
    return segmenter


def _print(figures: dict[str, float], test: "SegmentationTest") -> None:
    if not figures:
        say(f"no figures: no pixel of {test.test.annotations} has a class")
    for name, value in figures.items():
        say(f"{name}: {value}")
