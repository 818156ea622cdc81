"""Tables of ``litehrnet summary``: on the screen, as HTML and as CSV."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from litehrnet.io.files import write_bytes

if TYPE_CHECKING:
    from rich.console import Console

    from litehrnet.models.complexity import Complexity, LayerCost, Shape

# Module of a layer that is one unit of the grouped table.
_BLOCK = re.compile(r"(?:backbone\.)?(?:stage\d\.\d+\.\w+|transition\d\.\d|\w+)")
_WIDEST = 250  # characters; more than a row of the table of layers needs
_LEGEND = (
    "Shapes: channels x height x width, of the first and last branch. MACs: multiply-accumulates of convolutions. "
    "FLOPs: by the rule of the reference implementation. Read: input and parameters, written: output, as float32. "
    "Each layer counts once."
)
_PAGE = (
    '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>litehrnet summary</title>\n'
    "<style>{stylesheet} body {{color: {foreground}; background: {background}}}</style>\n<pre>{code}</pre>\n</html>\n"
)


def show(complexity: Complexity, title: str, remark: str | None, *, full: bool) -> None:
    """Print the tables on standard output, as wide as the terminal.

    Args:
        complexity: Costs of the whole network.
        title: Title that names the network and its input.
        remark: Remark on the values, or None.
        full: Print one row per layer instead of one per part of the network.
    """
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console = Console(highlight=False, width=120)  # files and pipes have no width
    # Rows of layers are never wrapped, so that their names can be searched for.
    wide = Console(highlight=False, width=max(console.width, _WIDEST)) if full else console
    _print(console, wide, complexity, title, remark, full=full)


def write_files(complexity: Complexity, title: str, remark: str | None, stem: str) -> tuple[Path, Path]:
    """Write all tables with one row per layer to ``stem``.html, and the layers to ``stem``.csv.

    Raises:
        UserError: A file cannot be written.
    """
    from rich.console import Console

    console = Console(file=io.StringIO(), record=True, highlight=False, width=_WIDEST)
    _print(console, console, complexity, title, remark, full=True)
    page, sheet = Path(f"{stem}.html"), Path(f"{stem}.csv")
    write_bytes(page, console.export_html(code_format=_PAGE).encode())
    write_bytes(sheet, _csv(complexity).encode())
    return page, sheet


def _print(
    console: Console, wide: Console, complexity: Complexity, title: str, remark: str | None, *, full: bool
) -> None:
    console.print(title, style="bold", markup=False)
    (_print_layers if full else _print_parts)(wide, complexity)
    _print_kinds(console, complexity)
    console.print(f"\n{_LEGEND}", markup=False, width=min(console.width, 120))
    _print_totals(console, complexity)
    if remark is not None:
        console.print(f"\n{remark}", markup=False, width=min(console.width, 120))


def _print_parts(console: Console, complexity: Complexity) -> None:
    """Print one row per part of the network: stem, transitions, units and fusions of each stage, head, last layer."""
    parts: dict[str, list[LayerCost]] = {}
    for layer in complexity.layers:
        parts.setdefault(_part(_block(layer)), []).append(layer)
    rows = []
    for name, layers in parts.items():
        called = [complexity.shapes[block] for block in dict.fromkeys(map(_block, layers))]
        inputs = _ends([shape for taken, _ in called for shape in taken])
        outputs = _ends([shape for _, given in called for shape in given])
        rows.append((name, inputs, outputs, *_costs(complexity.only(layers))))
    columns = ("part", "input", "output", "params", "MACs\n10^6", "read\nMB", "written\nMB")
    whole = complexity.shapes[""]
    total = ("total", *(_ends([*shapes]) for shapes in whole), *_costs(complexity))
    _print_table(console, "Parts of the network", columns, rows, total, texts=3, wrapped=(1, 2))


def _block(layer: LayerCost) -> str:
    match = _BLOCK.match(layer.name)
    assert match is not None
    return match[0]


def _part(block: str) -> str:
    first, *rest = block.removeprefix("backbone.").split(".")
    if first.startswith("stage"):
        return f"{first} {'units' if rest[-1] == 'layers' else 'fusion'}"
    return first


def _ends(shapes: list[Shape]) -> str:
    """Format the shapes of the first and the last branch."""
    texts = list(dict.fromkeys(map(_shape_text, shapes)))
    return texts[0] if len(texts) == 1 else f"{texts[0]} - {texts[-1]}"


def _shape_text(shape: Shape) -> str:
    return "x".join(map(str, shape))


def _costs(part: Complexity) -> tuple[str, ...]:
    return (
        f"{part.params:,}",
        f"{part.macs / 1e6:,.1f}",
        f"{part.memory_read_bytes / 1e6:,.1f}",
        f"{part.memory_written_bytes / 1e6:,.1f}",
    )


def _print_kinds(console: Console, complexity: Complexity) -> None:
    def row(name: str, part: Complexity) -> tuple[str, ...]:
        return name, f"{len(part.layers):,}", f"{part.published_flops / 2**20:,.1f}", *_costs(part)

    columns = ("kind", "layers", "FLOPs\n2^20", "params", "MACs\n10^6", "read\nMB", "written\nMB")
    rows = [row(kind, part) for kind, part in complexity.per_kind().items()]
    _print_table(console, "Kinds of layers", columns, rows, row("total", complexity), texts=1)


def _print_layers(console: Console, complexity: Complexity) -> None:
    rows = [
        (layer.name, layer.kind, *map(_shape_text, (layer.input_shape, layer.output_shape)), *_exact_costs(layer))
        for layer in complexity.layers
    ]
    columns = ("layer", "kind", "input", "output", "params", "MACs", "FLOPs", "read\nbytes", "written\nbytes")
    total = ("total", "", "", "", *_exact_costs(complexity))
    _print_table(console, "Layers", columns, rows, total, texts=4)


def _exact_costs(part: Complexity | LayerCost) -> tuple[str, ...]:
    numbers = (part.params, part.macs, part.published_flops, part.memory_read_bytes, part.memory_written_bytes)
    return tuple(f"{number:,}" for number in numbers)


def _print_totals(console: Console, complexity: Complexity) -> None:
    """Print the totals, rounded and exact."""
    flops, macs, executed = complexity.published_flops, complexity.macs, complexity.macs_as_published
    rows = [
        (
            "FLOPs of the paper (multiply-adds + batch normalization + ReLU + pooling + upsampling)",
            f"{flops / 2**20:,.1f} x 2^20",
            f"{flops:,}",
        ),
        ("multiply-accumulates, each layer once", f"{macs / 1e6:,.1f} x 10^6", f"{macs:,}"),
        (
            "multiply-accumulates as executed by the reference implementation",
            f"{executed / 1e6:,.1f} x 10^6",
            f"{executed:,}",
        ),
        ("parameters", f"{complexity.params / 1e6:,.2f} x 10^6", f"{complexity.params:,}"),
    ]
    _print_table(console, "Totals", ("metric", "rounded", "exact"), rows, texts=1, wrapped=(0,))


def _print_table(
    console: Console,
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    total: Sequence[str] | None = None,
    *,
    texts: int,
    wrapped: Sequence[int] = (),
) -> None:
    """Print a table of texts.

    Args:
        console: Console to print on.
        title: Heading.
        columns: Column heads, of one or two lines.
        rows: Rows with one text per column.
        total: Last row, separated from the others; None for none.
        texts: Number of columns, from the left, that hold text; numbers in the others are right-aligned.
        wrapped: Indices of the columns that are wrapped in narrow terminals.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0), show_footer=total is not None)
    for number, (column, footer) in enumerate(zip(columns, total or ("",) * len(columns), strict=True)):
        justify: Literal["left", "right"] = "left" if number < texts else "right"
        no_wrap = number not in wrapped
        table.add_column(Text(column), Text(footer), justify=justify, overflow="fold", no_wrap=no_wrap)
    for row in rows:
        table.add_row(*map(Text, row))
    console.print()
    console.print(title, style="bold")
    console.print(table)


def _csv(complexity: Complexity) -> str:
    from litehrnet.models.complexity import LayerCost

    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(LayerCost)], lineterminator="\n")
    writer.writeheader()
    for layer in complexity.layers:
        shapes = {"input_shape": _shape_text(layer.input_shape), "output_shape": _shape_text(layer.output_shape)}
        writer.writerow({**asdict(layer), **shapes})
    return text.getvalue()
