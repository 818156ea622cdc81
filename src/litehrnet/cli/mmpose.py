"""The mmpose command line ``tools/test.py`` (docs/spec/protocol.md, section 5.2)."""

import argparse
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from litehrnet.cli.options import add_launcher_options, note, pass_on_local_rank, progress_bar, say
from litehrnet.config.read import LoadedConfig, load_config
from litehrnet.config.schema import RunConfig
from litehrnet.config.tasks import metric_of
from litehrnet.data.formats import find_format
from litehrnet.errors import UserError
from litehrnet.evaluation.metrics import find_measure
from litehrnet.evaluation.predictions import OUTPUT_SUFFIXES, encode_outputs
from litehrnet.evaluation.protocol import open_weights, read_eval_set
from litehrnet.evaluation.report import EvalReport
from litehrnet.evaluation.segmentation import read_segmentation_eval_set, take_classes
from litehrnet.inference.segmenter import Segmenter
from litehrnet.io.files import make_folder, write_bytes
from litehrnet.io.progress import SILENT, Progress
from litehrnet.optional import require
from litehrnet.runtimes import Runtime, open_runtime

if TYPE_CHECKING:
    from litehrnet.training.distributed import Processes


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
    parser.add_argument(
        "--tmpdir", type=Path, metavar="DIR", help="folder for files through which processes exchange results"
    )
    parser.add_argument("--proc_per_gpu", type=int, metavar="N", help="ignored for images")
    parser.add_argument("--average_clips", metavar="TYPE", help="ignored for images")
    add_launcher_options(parser)
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> int:
    """Evaluate, print the metrics under mmpose's names, and write mmpose's files to ``work_dirs``.

    The processes of a launcher share the work, and the first one prints.

    Raises:
        UserError: A file is missing or broken, or two do not belong together.
    """
    loaded = load_config(options.config, options.cfg_options)
    _check_metrics(options.eval, loaded.config)
    pass_on_local_rank(options)
    if loaded.config.task == "detection":
        raise UserError(f"{options.config}: mmpose has no detectors (expected litehrnet test for this recipe)")
    evaluate = _evaluate_keypoints if loaded.config.task == "keypoints" else _evaluate_segmentation
    require("torch", "train", "tools/test.py")
    from litehrnet.training.distributed import joined

    with joined(options.launcher) as processes:
        evaluate(options, loaded, processes)
    return 0


def _check_metrics(metrics: Sequence[str] | None, config: RunConfig) -> None:
    known = metric_of(config, config.tested_on).name
    for metric in metrics or ():
        if metric != known:
            raise UserError(f"--eval {metric}: not a metric of {config.tested_on.annotations} (expected {known})")


def _evaluate_keypoints(options: argparse.Namespace, loaded: LoadedConfig, processes: "Processes") -> None:
    from litehrnet.training.evaluate import evaluate_runtime

    if options.out is not None and options.out.suffix not in OUTPUT_SUFFIXES:
        raise UserError(f"{options.out}: unknown format (expected {', '.join(OUTPUT_SUFFIXES)})")
    config, test = loaded.config, loaded.config.tested_on
    runtime, _ = open_weights(options.checkpoint, config, runtime=_runtime_name(options.checkpoint))
    runtime = _prepared(runtime, options.fuse_conv_bn)
    _introduce(runtime, options, loaded, processes, f"boxes: {test.boxes or 'ground truth'}")
    people = read_eval_set(test, runtime.info.keypoint_set, runtime.input_size_wh, options.checkpoint)
    with _progress("people", processes) as progress:
        report = evaluate_runtime(runtime, people, processes, _exchange(options), progress)
    if report is not None:
        _write_and_print(report, config, options.out)


def _write_and_print(report: EvalReport, config: RunConfig, out: Path | None) -> None:
    measure = find_measure(config.tested_on)
    path = make_folder(Path("work_dirs") / config.name) / measure.file_name
    write_bytes(path, measure.encode(report, path.suffix))
    if out is not None:
        write_bytes(out, encode_outputs(report.predictions, out.suffix))
    names = find_format(config.tested_on.format).metric.values
    for name, value in zip(names, report.metrics.values(), strict=True):
        say(f"{name}: {'none' if value is None else value}")


def _evaluate_segmentation(options: argparse.Namespace, loaded: LoadedConfig, processes: "Processes") -> None:
    """Evaluate a segmentation and print its metrics; predictions become label images in the folder ``--out``."""
    from litehrnet.training.segmentation import evaluate_segmenter

    if options.out is not None and options.out.suffix:
        raise UserError(f"{options.out}: not a folder (expected one for label images, as this network segments)")
    config, test = loaded.config, loaded.config.tested_on
    name = _runtime_name(options.checkpoint)
    runtime = _prepared(
        open_runtime(options.checkpoint, name, input_size_wh=config.input_size_wh), options.fuse_conv_bn
    )
    segmenter = Segmenter(runtime, window=test.window, flip=test.flip, scales=test.scales)
    take_classes(segmenter, config, options.checkpoint)
    images = read_segmentation_eval_set(test, segmenter.class_set)
    _introduce(runtime, options, loaded, processes, images.how)
    with _progress("images", processes) as progress:
        found = evaluate_segmenter(segmenter, images, processes, _exchange(options), options.out, progress)
    if found is None:
        return
    if not found:
        say(f"no metrics: no pixel of {test.annotations} has a class")
    for name, value in found.items():
        say(f"{name}: {value}")


def _exchange(options: argparse.Namespace) -> Path | None:
    """Folder for files with which processes exchange results; None to exchange them without files."""
    folder: Path | None = None if options.gpu_collect else options.tmpdir
    return folder


def _progress(samples: str, processes: "Processes") -> contextlib.AbstractContextManager[Progress]:
    if not processes.is_first:
        return contextlib.nullcontext(SILENT)
    return progress_bar(samples if processes.world_size == 1 else f"{samples} (of the first process)")


def _runtime_name(checkpoint: Path) -> str | None:
    """PyTorch, as in mmpose, for every file that it can run."""
    return None if checkpoint.suffix in (".onnx", ".zip", ".tflite", ".native") else "torch"


def _prepared(runtime: Runtime, fold: bool) -> Runtime:
    """Move the runtime to this process's GPU if there is one, and fold its batch normalizations if asked for."""
    import torch

    from litehrnet.models.folding import fold_batch_norms
    from litehrnet.runtimes.torch import TorchRuntime

    if not isinstance(runtime, TorchRuntime):
        if fold:
            note("--fuse-conv-bn: an exported model has no batch normalizations left to fold")
        return runtime
    network = fold_batch_norms(runtime.network) if fold else runtime.network
    if torch.cuda.is_available():
        network = network.cuda()
    return TorchRuntime(network, runtime.info, runtime.input_size_wh)


def _introduce(
    runtime: Runtime, options: argparse.Namespace, loaded: LoadedConfig, processes: "Processes", how: str
) -> None:
    """Print the runtime, how it is evaluated, and which settings are interpreted differently, in the first process."""
    if not processes.is_first:
        return
    for text in loaded.notes:
        note(text)
    for name in ("proc_per_gpu", "average_clips"):
        if getattr(options, name) is not None:
            note(f"--{name}: ignored for images")
    say(f"{runtime.description}; {how}")
