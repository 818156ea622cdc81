"""The published command line ``tools/test.py`` (protocol specification, section 5.2)."""

import argparse
import json
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from litehrnet.cli.options import progress_bar, say
from litehrnet.errors import UserError
from litehrnet.evaluation.coco import PUBLISHED_NAMES, published_json
from litehrnet.evaluation.pckh import prediction_mat
from litehrnet.evaluation.predictions import Predictions
from litehrnet.files import make_folder, write_bytes


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
    parser.add_argument("config", help="a recipe, by file or name")
    parser.add_argument("checkpoint", type=Path, help="a PyTorch checkpoint, .safetensors or .onnx")
    parser.add_argument("--out", type=Path, metavar="FILE", help="raw outputs as .json, .yaml, .yml, .pkl or .pickle")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> int:
    """Test, print the figures under their published names, write the published files to ``work_dirs``.

    Raises:
        UserError: Something that was named is missing, broken, or does not belong together.
    """
    from litehrnet.config.recipes import read_recipe
    from litehrnet.evaluation.protocol import open_weights, run_test

    if options.out is not None and options.out.suffix not in _WRITERS:
        raise UserError(f"{options.out}: unknown format (expected {', '.join(_WRITERS)})")
    config = read_recipe(options.config)
    runtime, _ = open_weights(options.checkpoint, config)
    say(f"{runtime.description}; boxes: {config.test.boxes or 'ground truth'}")
    with progress_bar("persons") as started:
        report = run_test(runtime, options.checkpoint, config.test, started)
    folder = make_folder(Path("work_dirs") / config.name)
    figures = report.figures
    if config.test.dataset == "coco":
        write_bytes(folder / "result_keypoints.json", published_json(report.results).encode())
        figures = dict(zip(PUBLISHED_NAMES, figures.values(), strict=True))
    else:
        write_bytes(folder / "pred.mat", prediction_mat(report.predictions.keypoints))
    if options.out is not None:
        write_outputs(options.out, report.predictions)
    for name, value in figures.items():
        say(f"{name}: {value}")
    return 0


def write_outputs(path: Path, predictions: Predictions) -> None:
    """Write the raw outputs in the format that the suffix of ``path`` names.

    Raises:
        UserError: ``path`` cannot be written.
    """
    write_bytes(path, _WRITERS[path.suffix](raw_outputs(predictions)))


def raw_outputs(predictions: Predictions) -> list[dict[str, Any]]:
    """The published raw outputs: one dictionary per batch of one person.

    ``preds`` is float32 (1, keypoints, 3): x, y, score; ``boxes`` float32 (1, 6): centre, scale, area, box score.
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
