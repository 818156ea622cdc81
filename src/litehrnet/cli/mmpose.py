"""The mmpose command lines ``tools/train.py`` and ``tools/test.py`` (docs/spec/protocol.md, sections 5.1 and 5.2)."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from litehrnet.cli.options import add_cfg_options, note, progress_bar, say
from litehrnet.errors import UserError
from litehrnet.optional import require

if TYPE_CHECKING:
    from litehrnet.config.read import LoadedConfig
    from litehrnet.config.schema import RunConfig
    from litehrnet.evaluation.report import EvalReport
    from litehrnet.evaluation.segmentation import SegmentationEvalSet
    from litehrnet.inference.segmenter import Segmenter
    from litehrnet.runtimes import Runtime

LAUNCHERS = ("none", "pytorch", "slurm", "mpi")


def add_shared_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--cfg-options``, ``--launcher`` and ``--local_rank``."""
    add_cfg_options(parser)
    parser.add_argument("--launcher", choices=LAUNCHERS, default="none", help="process launcher")
    # Newer torch launchers use a hyphen, or only set the environment variable.
    parser.add_argument("--local_rank", "--local-rank", type=int, metavar="R", help="set by older launchers")


def pass_on_local_rank(options: argparse.Namespace) -> None:
    """Set the environment variable ``LOCAL_RANK`` to ``--local_rank``, unless it is set already."""
    if options.local_rank is not None:
        os.environ.setdefault("LOCAL_RANK", str(options.local_rank))


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line of ``tools/test.py``."""
    parser = argparse.ArgumentParser(prog="test.py", description="Evaluate a checkpoint by a configuration.")
    parser.add_argument("config", help="an mmpose config, or a recipe by file or name")
    parser.add_argument("checkpoint", type=Path, help="a PyTorch checkpoint, .safetensors, .onnx or .native")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="raw outputs as .json, .yaml, .yml, .pkl or .pickle; for segmentation a folder for label images",
    )
    parser.add_argument(
        "--eval",
        nargs="+",
        metavar="METRIC",
        help="mAP for COCO, PCKh for MPII, mIoU for segmentation (this is the default)",
    )
    parser.add_argument("--fuse-conv-bn", action="store_true", help="fold batch normalizations into the convolutions")
    parser.add_argument("--gpu_collect", action="store_true", help="processes exchange results without files")
    parser.add_argument("--tmpdir", type=Path, metavar="DIR", help="folder for files with which processes exchange")
    parser.add_argument("--proc_per_gpu", type=int, metavar="N", help="ignored for images")
    parser.add_argument("--average_clips", metavar="TYPE", help="ignored for images")
    add_shared_arguments(parser)
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> int:
    """Evaluate, print the metrics under mmpose's names, and write mmpose's files to ``work_dirs``.

    Raises:
        UserError: A file is missing or broken, or two do not belong together.
    """
    from litehrnet.config.read import load_config

    loaded = load_config(options.config, options.cfg_options)
    _check_metrics(options.eval, loaded.config)
    pass_on_local_rank(options)
    match loaded.config.task:
        case "keypoints":
            return _run_keypoints(options, loaded)
        case "segmentation":
            return _run_segmentation(options, loaded)
        case "detection":
            raise UserError(f"{options.config}: mmpose has no detectors (expected litehrnet test for this recipe)")


def _check_metrics(metrics: Sequence[str] | None, config: "RunConfig") -> None:
    from litehrnet.config.tasks import metric_of

    known = metric_of(config, config.tested_on).name
    for metric in metrics or ():
        if metric != known:
            raise UserError(f"--eval {metric}: not a metric of {config.tested_on.annotations} (expected {known})")


def _run_keypoints(options: argparse.Namespace, loaded: "LoadedConfig") -> int:
    from litehrnet.evaluation.predictions import OUTPUT_SUFFIXES

    if options.out is not None and options.out.suffix not in OUTPUT_SUFFIXES:
        raise UserError(f"{options.out}: unknown format (expected {', '.join(OUTPUT_SUFFIXES)})")
    alone = options.launcher == "none"
    report = _keypoints_alone(options, loaded) if alone else _keypoints_together(options, loaded)
    if report is not None:
        _write_and_print(report, loaded.config, options.out)
    return 0


def _keypoints_alone(options: argparse.Namespace, loaded: "LoadedConfig") -> "EvalReport":
    from litehrnet.evaluation.protocol import open_weights, run_evaluation

    runtime, _ = open_weights(options.checkpoint, loaded.config, runtime=_runtime_name(options.checkpoint))
    runtime = _prepared(runtime, options.fuse_conv_bn)
    _introduce(runtime, options, loaded, _boxes(loaded.config))
    with progress_bar("people") as progress:
        return run_evaluation(runtime, options.checkpoint, loaded.config.tested_on, progress)


def _keypoints_together(options: argparse.Namespace, loaded: "LoadedConfig") -> "EvalReport | None":
    """Evaluate in several processes: the report in the first one, None in the others."""
    require("torch", "train", f"--launcher {options.launcher}")

    from litehrnet.evaluation.protocol import open_weights, read_eval_set
    from litehrnet.training.distributed import joined
    from litehrnet.training.evaluate import evaluate_runtime

    with joined(options.launcher) as processes:
        runtime, _ = open_weights(options.checkpoint, loaded.config, runtime=_runtime_name(options.checkpoint))
        runtime = _prepared(runtime, options.fuse_conv_bn)
        test, keypoint_set = loaded.config.tested_on, runtime.info.keypoint_set
        people = read_eval_set(test, keypoint_set, runtime.input_size_wh, options.checkpoint)
        folder = None if options.gpu_collect else options.tmpdir
        if not processes.is_first:
            return evaluate_runtime(runtime, people, processes, folder)
        _introduce(runtime, options, loaded, _boxes(loaded.config))
        with progress_bar("people (of the first process)") as progress:
            return evaluate_runtime(runtime, people, processes, folder, progress)


def _boxes(config: "RunConfig") -> str:
    return f"boxes: {config.tested_on.boxes or 'ground truth'}"


def _write_and_print(report: "EvalReport", config: "RunConfig", out: Path | None) -> None:
    from litehrnet.data.formats import find_format
    from litehrnet.evaluation.metrics import find_measure
    from litehrnet.evaluation.predictions import encode_outputs
    from litehrnet.io.files import make_folder, write_bytes

    measure = find_measure(config.tested_on)
    path = make_folder(Path("work_dirs") / config.name) / measure.file_name
    write_bytes(path, measure.encode(report, path.suffix))
    if out is not None:
        write_bytes(out, encode_outputs(report.predictions, out.suffix))
    names = find_format(config.tested_on.format).metric.values
    for name, value in zip(names, report.figures.values(), strict=True):
        say(f"{name}: {'none' if value is None else value}")


def _run_segmentation(options: argparse.Namespace, loaded: "LoadedConfig") -> int:
    """Evaluate a segmentation and print its metrics; predictions become label images in the folder ``--out``."""
    if options.out is not None and options.out.suffix:
        raise UserError(f"{options.out}: not a folder (expected one for label images, as this network segments)")
    if options.launcher != "none":
        return _segmentation_together(options, loaded)
    from litehrnet.evaluation.segmentation import confusion_of, read_segmentation_eval_set
    from litehrnet.segmentation.confusion import figures

    segmenter = _segmenter(options, loaded.config)
    images = read_segmentation_eval_set(loaded.config.tested_on, segmenter.class_set)
    _introduce(segmenter.runtime, options, loaded, images.how)
    with progress_bar("images") as progress:
        matrix = confusion_of(segmenter, images.records, progress, options.out)
    _print(figures(matrix, segmenter.class_set.class_names), images)
    return 0


def _segmentation_together(options: argparse.Namespace, loaded: "LoadedConfig") -> int:
    """Share the images between the launcher's processes; the first one prints."""
    require("torch", "train", f"--launcher {options.launcher}")

    from litehrnet.evaluation.segmentation import read_segmentation_eval_set
    from litehrnet.training.distributed import joined
    from litehrnet.training.segmentation import evaluate_segmenter

    with joined(options.launcher) as processes:
        segmenter = _segmenter(options, loaded.config)
        images = read_segmentation_eval_set(loaded.config.tested_on, segmenter.class_set)
        folder = None if options.gpu_collect else options.tmpdir
        if not processes.is_first:
            evaluate_segmenter(segmenter, images, processes, folder, options.out)
            return 0
        _introduce(segmenter.runtime, options, loaded, images.how)
        with progress_bar("images (of the first process)") as progress:
            found = evaluate_segmenter(segmenter, images, processes, folder, options.out, progress)
    assert found is not None
    _print(found, images)
    return 0


def _segmenter(options: argparse.Namespace, config: "RunConfig") -> "Segmenter":
    from litehrnet.evaluation.segmentation import take_classes
    from litehrnet.inference.segmenter import Segmenter
    from litehrnet.runtimes import open_runtime

    name = _runtime_name(options.checkpoint)
    opened = open_runtime(options.checkpoint, name, input_size_wh=config.input_size_wh)
    test = config.tested_on
    segmenter = Segmenter(
        _prepared(opened, options.fuse_conv_bn), window=test.window, flip=test.flip, scales=test.scales
    )
    take_classes(segmenter, config, options.checkpoint)
    return segmenter


def _print(figures: dict[str, float], images: "SegmentationEvalSet") -> None:
    if not figures:
        say(f"no metrics: no pixel of {images.test.annotations} has a class")
    for name, value in figures.items():
        say(f"{name}: {value}")


def _runtime_name(checkpoint: Path) -> str | None:
    """PyTorch, as in mmpose, for every file that it can run."""
    return None if checkpoint.suffix in (".onnx", ".zip", ".native") else "torch"


def _prepared(runtime: "Runtime", fold: bool) -> "Runtime":
    """Move the runtime to this process's GPU if there is one, and fold its batch normalizations if asked for."""
    from litehrnet.runtimes.torch import TorchRuntime

    if not isinstance(runtime, TorchRuntime):
        if fold:
            note("--fuse-conv-bn: an exported model has no batch normalizations left to fold")
        return runtime
    import torch

    from litehrnet.models.folding import fold_batch_norms

    network = fold_batch_norms(runtime.network) if fold else runtime.network
    if torch.cuda.is_available():
        network = network.cuda()
    return TorchRuntime(network, runtime.info, runtime.input_size_wh)


def _introduce(runtime: "Runtime", options: argparse.Namespace, loaded: "LoadedConfig", how: str) -> None:
    """Print the runtime, how it is evaluated, and which settings are interpreted differently."""
    for text in loaded.notes:
        note(text)
    for name in ("proc_per_gpu", "average_clips"):
        if getattr(options, name) is not None:
            note(f"--{name}: ignored for images")
    say(f"{runtime.description}; {how}")
