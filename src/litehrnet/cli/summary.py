"""``litehrnet summary``: count the cost of a network, per part or per layer, and in total."""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from litehrnet.errors import UserError
from litehrnet.published import PUBLISHED
from litehrnet.variants import DEFAULT_INPUT_SIZE_WH, VARIANTS, check_input_size

if TYPE_CHECKING:
    from litehrnet.models import Network
    from litehrnet.models.complexity import Complexity

_LONGEST_SIDE = 100_000
_MISPRINT = (
    "The paper's table prints 418.7 for this network at 256 x 256 (MPII). The rule that gives the other nine printed "
    "values to their last digit gives 414.6 (16 keypoints). The table's own 311.1 at 256 x 192 agrees: times 4/3, for "
    "4/3 as many pixels, it is 414.8. So 418.7 is a misprint."
)


@dataclass(frozen=True)
class _Subject:
    """Network that the command line names, and its default input size."""

    network: Network
    input_size_wh: tuple[int, int]

    @property
    def variant(self) -> str:
        return self.network.variant.name

    @property
    def outputs(self) -> dict[str, int]:
        """Number of keypoints or classes, or of boxes per cell, by its name in the JSON output."""
        from litehrnet.models import DetectionNetwork, SegmentationNetwork

        if isinstance(self.network, DetectionNetwork):
            return {"boxes": 1}
        if isinstance(self.network, SegmentationNetwork):
            return {"num_classes": self.network.num_classes}
        return {"num_keypoints": self.network.num_keypoints}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``litehrnet summary``."""
    parser.add_argument(
        "target",
        metavar="CONFIG|VARIANT|WEIGHTS",
        help=f"a recipe by file or name, a variant ({', '.join(VARIANTS)}), or a weights file",
    )
    parser.add_argument(
        "--shape",
        type=int,
        nargs="+",
        metavar=("H", "W"),
        help="height and width of the image in pixels, or one number for a square (default: that of the "
        "recipe or the weights; 256 192 for a variant)",
    )
    outputs = parser.add_mutually_exclusive_group()
    outputs.add_argument(
        "--num-keypoints", type=int, metavar="K", help="number of keypoints of a variant (default: 17)"
    )
    outputs.add_argument("--num-classes", type=int, metavar="C", help="number of classes of a variant for segmentation")
    parser.add_argument("--full", action="store_true", help="print one row per layer, in lines of up to 200 characters")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead (with --full: all layers)")
    parser.add_argument("--out-file", metavar="STEM", help="also write STEM.html and STEM.csv, one row per layer")


def run(args: argparse.Namespace) -> int:
    """Measure the network, and print or write its cost.

    Raises:
        UserError: The network is unknown, does not support the size, or a file cannot be written.
    """
    from litehrnet.cli import summary_report
    from litehrnet.optional import require

    size_wh = None if args.shape is None else _size_wh(args.shape)
    require("torch", "train", "measuring a network")
    from litehrnet.models.complexity import measure

    subject = _find_subject(args.target, args.num_keypoints, args.num_classes)
    complexity = measure(subject.network, size_wh or subject.input_size_wh)
    remark = _remark(subject, complexity.input_size_wh)
    title = _title(subject, complexity.input_size_wh)
    written = summary_report.write_files(complexity, title, remark, args.out_file) if args.out_file else ()
    if args.json:
        metrics = {"variant": subject.variant, **subject.outputs, **_metrics(complexity, args.full)}
        sys.stdout.write(json.dumps({**metrics, "remark": remark}, indent=2) + "\n")
        return 0
    summary_report.show(complexity, title, remark, full=args.full)
    if written:
        sys.stdout.write(f"\nwritten: {', '.join(map(str, written))}\n")
    return 0


def _size_wh(shape: list[int]) -> tuple[int, int]:
    """Return --shape, which has the height first, as (width, height)."""
    if len(shape) > 2:
        raise UserError(f"--shape {' '.join(map(str, shape))}: expected height and width, or one number for a square")
    height, width = shape[0], shape[-1]
    if max(height, width) > _LONGEST_SIDE:
        raise UserError(f"--shape {height} {width}: too large (expected up to {_LONGEST_SIDE:,} pixels per side)")
    check_input_size(width=width, height=height)
    return width, height


def _find_subject(target: str, num_keypoints: int | None, num_classes: int | None) -> _Subject:
    from litehrnet.models import create_network

    if target in VARIANTS and num_classes is not None:
        return _Subject(create_network(target, num_classes=num_classes), DEFAULT_INPUT_SIZE_WH)
    if target in VARIANTS:
        return _Subject(create_network(target, 17 if num_keypoints is None else num_keypoints), DEFAULT_INPUT_SIZE_WH)
    if num_keypoints is not None:
        raise UserError(f"--num-keypoints: {target} has its own number of keypoints (expected only with a variant)")
    if num_classes is not None:
        raise UserError(f"--num-classes: {target} has its own number of classes (expected only with a variant)")
    path = Path(target)
    if path.suffix in (".py", ".json") or not (path.suffix or path.exists()):
        return _read_recipe(target)
    from litehrnet.models.weights import load_network

    network, info = load_network(path)
    return _Subject(network, info.input_size_wh or DEFAULT_INPUT_SIZE_WH)


def _read_recipe(target: str) -> _Subject:
    from litehrnet.config.read import load_config
    from litehrnet.config.recipes import recipe_names
    from litehrnet.models.weights import new_network

    known = [*VARIANTS, *recipe_names()]
    if not target.endswith((".py", ".json")) and target not in known:
        near = difflib.get_close_matches(target, known, n=1)
        wanted = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(known)}"
        raise UserError(f"{target}: not a variant, recipe or weights file ({wanted})")
    recipe = load_config(target).config
    return _Subject(new_network(recipe.variant, recipe.outputs), recipe.input_size_wh)


def _title(subject: _Subject, input_size_wh: tuple[int, int]) -> str:
    width, height = input_size_wh
    ((name, count),) = subject.outputs.items()
    return f"{subject.variant}, {count} {name.removeprefix('num_')}, one image of {height} x {width} (height x width)"


def _remark(subject: _Subject, input_size_wh: tuple[int, int]) -> str | None:
    variant = subject.variant
    if "num_keypoints" not in subject.outputs or (variant, input_size_wh) not in PUBLISHED:
        return None
    params, flops = PUBLISHED[variant, input_size_wh]
    published = f"Published for this network and size: {params} parameters, {flops} FLOPs."
    misprint = (variant, input_size_wh) == ("wider_naive_lite_hrnet_18", (256, 256))
    return f"{published} {_MISPRINT}" if misprint else published


def _metrics(complexity: Complexity, full: bool) -> dict[str, Any]:
    """Return the values that --json prints."""
    width, height = complexity.input_size_wh
    kinds = {kind: {"layers": len(part.layers), **_totals(part)} for kind, part in complexity.per_kind().items()}
    metrics = {
        "input_height": height,
        "input_width": width,
        **_totals(complexity),
        "published_flops_mebi": complexity.published_flops / 2**20,
        "kinds": kinds,
    }
    return {**metrics, "layers": [asdict(layer) for layer in complexity.layers]} if full else metrics


def _totals(complexity: Complexity) -> dict[str, int]:
    names = ("params", "published_flops", "macs", "macs_as_published", "memory_read_bytes", "memory_written_bytes")
    return {name: getattr(complexity, name) for name in names}
