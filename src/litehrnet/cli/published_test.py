"""The mmpose command line ``tools/test.py`` (docs/spec/protocol.md, section 5.2)."""

import argparse
import json
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from litehrnet.cli.options import progress_bar, say
from litehrnet.cli.published_options import add_shared_arguments, note, pass_on_local_rank
from litehrnet.errors import UserError
from litehrnet.evaluation.coco import PUBLISHED_NAMES, published_json
from litehrnet.evaluation.pckh import prediction_mat
from litehrnet.evaluation.predictions import Predictions
from litehrnet.io.files import make_folder, write_bytes
from litehrnet.optional import require

if TYPE_CHECKING:
    from litehrnet.config.read import LoadedConfig
    from litehrnet.config.schema import RunConfig, TestConfig
    from litehrnet.evaluation.protocol import TestReport
    from litehrnet.runtimes import Runtime

_METRICS = {"coco": "mAP", "mpii": "PCKh", "cityscapes": "mIoU", "folder": "mIoU"}


def _as_json(outputs: list[dict[str, Any]]) -> bytes:
    return json.dumps(outputs, default=lambda array: array.tolist()).encode()


# JSON is YAML too.
_WRITERS: dict[str, Callable[[list[dict[str, Any]]], bytes]] = {
    ".json": _as_json,
    ".yaml": _as_json,
    ".yml": _as_json,
    ".pkl": pickle.dumps,
    ".pickle": pickle.dumps,
}


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the published command line."""
    parser = argparse.ArgumentParser(prog="test.py", description="Test a checkpoint by a configuration.")
    parser.add_argument("config", help="a published configuration file, or a recipe by file or name")
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
    parser.add_argument("--tmpdir", type=Path, metavar="DIR", help="processes exchange results through files in here")
    parser.add_argument("--proc_per_gpu", type=int, metavar="N", help="accepted; does nothing for images")
    parser.add_argument("--average_clips", metavar="TYPE", help="accepted; does nothing for images")
    add_shared_arguments(parser)
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> int:
    """Test, print the figures under their published names, write the published files to ``work_dirs``.

    Raises:
        UserError: Something that was named is missing, broken, or does not belong together.
    """
    from litehrnet.config.read import load_config

    loaded = load_config(options.config, options.cfg_options)
    _check_metrics(options.eval, loaded.config.tested_on)
    pass_on_local_rank(options)
    if loaded.config.segmentation is not None:
        from litehrnet.cli import published_segmentation_test

        return published_segmentation_test.run(options, loaded)
    if options.out is not None and options.out.suffix not in _WRITERS:
        raise UserError(f"{options.out}: unknown format (expected {', '.join(_WRITERS)})")
    report = _test_alone(options, loaded) if options.launcher == "none" else _test_together(options, loaded)
    if report is not None:
        _write_and_print(report, loaded.config, options.out)
    return 0


def _check_metrics(metrics: Sequence[str] | None, test: "TestConfig") -> None:
    known = _METRICS[test.dataset]
    for metric in metrics or ():
        if metric != known:
            raise UserError(f"--eval {metric}: no metric of {test.annotations} (expected {known})")


def _test_alone(options: argparse.Namespace, loaded: "LoadedConfig") -> "TestReport":
    from litehrnet.evaluation.protocol import open_weights, run_test

    runtime, _ = open_weights(options.checkpoint, loaded.config, runtime=published_runtime(options.checkpoint))
    runtime = prepared(runtime, options.fuse_conv_bn)
    introduce(runtime, options, loaded, _boxes(loaded.config))
    with progress_bar("persons") as started:
        return run_test(runtime, options.checkpoint, loaded.config.tested_on, started)


def _test_together(options: argparse.Namespace, loaded: "LoadedConfig") -> "TestReport | None":
    """The report in the first of the launcher's processes, None in the others."""
    require("torch", "train", f"--launcher {options.launcher}")
    import torch

    from litehrnet.evaluation.protocol import open_weights, read_test_set
    from litehrnet.training.distributed import joined
    from litehrnet.training.evaluate import evaluate_runtime

    with joined(options.launcher) as processes:
        # As many threads as the launcher allows each process, not as there are cores.
        threads, wanted = torch.get_num_threads(), published_runtime(options.checkpoint)
        runtime, _ = open_weights(options.checkpoint, loaded.config, runtime=wanted, threads=threads)
        runtime = prepared(runtime, options.fuse_conv_bn)
        test, keypoint_set = loaded.config.tested_on, runtime.info.keypoint_set
        test_set = read_test_set(test, keypoint_set, runtime.input_size_wh, options.checkpoint)
        folder = None if options.gpu_collect else options.tmpdir
        if not processes.is_first:
            return evaluate_runtime(runtime, test_set, processes, folder)
        introduce(runtime, options, loaded, _boxes(loaded.config))
        with progress_bar("persons (of the first process)") as started:
            return evaluate_runtime(runtime, test_set, processes, folder, started)


def _boxes(config: "RunConfig") -> str:
    return f"boxes: {config.tested_on.boxes or 'ground truth'}"


def published_runtime(checkpoint: Path) -> str | None:
    """PyTorch as in the published test, for whatever it runs."""
    return None if checkpoint.suffix in (".onnx", ".native") else "torch"


def prepared(runtime: "Runtime", fold: bool) -> "Runtime":
    """The runtime on this process's GPU where there is one, its batch normalizations folded if asked for."""
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


def introduce(runtime: "Runtime", options: argparse.Namespace, loaded: "LoadedConfig", how: str) -> None:
    """Say what runs, and how it is tested; and what of the command line is understood in another way."""
    for text in loaded.notes:
        note(text)
    for name in ("proc_per_gpu", "average_clips"):
        if getattr(options, name) is not None:
            note(f"--{name}: does nothing for images")
    say(f"{runtime.description}; {how}")


def _write_and_print(report: "TestReport", config: "RunConfig", out: Path | None) -> None:
    folder = make_folder(Path("work_dirs") / config.name)
    figures = report.figures
    if config.tested_on.dataset == "coco":
        write_bytes(folder / "result_keypoints.json", published_json(report.results).encode())
        figures = dict(zip(PUBLISHED_NAMES, figures.values(), strict=True))
    else:
        write_bytes(folder / "pred.mat", prediction_mat(report.predictions.keypoints))
    if out is not None:
        write_outputs(out, report.predictions)
    for name, value in figures.items():
        say(f"{name}: {value}")


def write_outputs(path: Path, predictions: Predictions) -> None:
    """Write the raw outputs in the format that the suffix of ``path`` names.

    Raises:
        UserError: ``path`` cannot be written.
    """
    write_bytes(path, _WRITERS[path.suffix](raw_outputs(predictions)))


def raw_outputs(predictions: Predictions) -> list[dict[str, Any]]:
    """The published raw outputs: one dictionary per batch of one person.

    ``preds`` is float32 (1, keypoints, 3): x, y, score; ``boxes`` float32 (1, 6): center, scale, area, box score.
    """
    p = predictions
    preds = np.concatenate([p.keypoints, p.scores[..., None]], axis=2).astype(np.float32)
    boxes = np.column_stack([p.centers, p.scales, p.areas, p.box_scores]).astype(np.float32)
    return [
        {
            "preds": preds[i : i + 1],
            "boxes": boxes[i : i + 1],
            "image_paths": [str(p.image_files[i])],
            "bbox_ids": [int(p.box_ids[i])],
            "output_heatmap": None,
        }
        for i in range(len(preds))
    ]
