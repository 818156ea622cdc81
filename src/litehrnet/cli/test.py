"""``litehrnet test``: weights against annotations by the published protocol."""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from litehrnet.cli.options import add_runtime_options, input_size, progress_bar, require_pair, size_text

if TYPE_CHECKING:
    from litehrnet.config.run_config import RunConfig, TestConfig
    from litehrnet.evaluation.protocol import TestReport


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``litehrnet test`` takes."""
    parser.add_argument("weights", type=Path, help=".onnx, .safetensors or a PyTorch checkpoint")
    parser.add_argument("--config", help="a recipe, by file or name: network, input size and what to test on")
    parser.add_argument("--annotations", help="COCO keypoint annotations, or MPII's JSON list beside its .mat file")
    parser.add_argument("--images", metavar="DIR", help="folder of the photos")
    parser.add_argument("--boxes", metavar="JSON", help="a detector's boxes (default: the annotations' own)")
    parser.add_argument("--no-flip", action="store_true", help="do not average with the mirrored crops")
    parser.add_argument("--out", type=Path, metavar="JSON", help="write COCO results")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object and nothing else")
    add_runtime_options(parser)


def run(options: argparse.Namespace) -> int:
    """Test and print the table.

    Raises:
        UserError: Something that was named is missing, broken, or does not belong together.
    """
    from litehrnet.config.recipes import read_recipe
    from litehrnet.evaluation.coco import published_json
    from litehrnet.evaluation.protocol import open_weights, run_test
    from litehrnet.files import write_bytes

    config = read_recipe(options.config) if options.config else None
    test = _what_to_test(options, config)
    runtime, size_source = open_weights(
        options.weights, config, runtime=options.runtime, input_size_wh=input_size(options), threads=options.threads
    )
    with progress_bar("persons") as started:
        report = run_test(runtime, options.weights, test, started)
    if options.out:
        write_bytes(options.out, published_json(report.results).encode())
    if options.json:
        sys.stdout.write(json.dumps(report.figures) + "\n")
    else:
        size = f"{size_text(runtime.input_size_wh)}, {size_source}"
        _print_table(
            report, test, {"weights": str(options.weights), "input size": size, "runtime": runtime.description}
        )
    return 0


def _what_to_test(options: argparse.Namespace, config: "RunConfig | None") -> "TestConfig":
    from litehrnet.config.run_config import TestConfig
    from litehrnet.data.records import read_json

    if config is None:
        require_pair(options.annotations, options.images, "--annotations and --images")
        is_list = isinstance(read_json(Path(options.annotations)), list)
        test = TestConfig("mpii" if is_list else "coco", options.annotations, options.images)
    else:
        test = config.test
    # Boxes of the configuration belong to its annotations: other annotations come with their own.
    boxes = options.boxes or (None if options.annotations else test.boxes)
    return replace(
        test,
        annotations=options.annotations or test.annotations,
        images=options.images or test.images,
        boxes=boxes,
        flip=test.flip and not options.no_flip,
    )


def _print_table(report: "TestReport", test: "TestConfig", header: dict[str, str]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    persons = len(report.predictions.keypoints)
    header |= {
        "boxes": report.box_source,
        "tested": f"{persons} persons in {report.photos} photos, flip test {'on' if test.flip else 'off'}",
    }
    for name, text in header.items():
        console.print(f"{name + ':':12}{text}", soft_wrap=True, highlight=False, markup=False)
    metric = "COCO keypoint AP" if test.dataset == "coco" else "MPII PCKh (%)"
    # Not the table's own title, which would wrap to the table's width.
    console.print(f"\n{metric}, boxes: {report.box_source.split(' (')[0]}", highlight=False)
    table = Table("figure", "value")
    table.columns[1].justify = "right"
    digits = 4 if test.dataset == "coco" else 3
    for name, value in report.figures.items():
        table.add_row(name, f"{value:.{digits}f}")
    console.print(table)
