"""Tables of ``litehrnet summary``: on the screen, as HTML and as CSV."""

from __future__ import annotations

import csv
import html
import io
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from litehrnet.io.files import write_bytes

if TYPE_CHECKING:
    from rich.console import Console

    from litehrnet.models.complexity import Complexity, LayerCost, Shape

# The module of a layer that the grouped table looks at as a whole.
_BLOCK = re.compile(r"(?:backbone\.)?(?:stage\d\.\d+\.\w+|transition\d\.\d|\w+)")
_WIDEST = 250  # characters; more than a row of the table of layers needs
_LEGEND = (
    "Shapes: channels x height x width, of the first and last of several branches. MACs: multiply-accumulates of "
    "convolutions. FLOPs: by the published rule. Read: input and parameters, written: output, as float32. Each layer "
    "counts once."
)
_STYLE = (
    "body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:75em;padding:0 1em;color:#222}"
    "table{border-collapse:collapse;margin:1em 0 2em}td,th{padding:.2em .8em;border-bottom:1px solid #ddd}"
    "td{text-align:right;font-variant-numeric:tabular-nums}th{text-align:right}"
    "td.text,th.text{text-align:left}tr.total{font-weight:bold;border-top:2px solid #222}"
)


@dataclass(frozen=True)
class _Grid:
    """A table of texts.

    Attributes:
        title: Heading.
        columns: Heads, which may have two lines.
        text_columns: Columns from the left that hold text; the others hold numbers and are set flush right.
        wrapped: Indices of the columns that break lines where the terminal is narrow.
        rows: One text per column.
        total: Last row, set apart; None where there is none.
    """

    title: str
    columns: tuple[str, ...]
    text_columns: int
    wrapped: tuple[int, ...]
    rows: Sequence[tuple[str, ...]]
    total: tuple[str, ...] | None = None


def show(complexity: Complexity, title: str, remark: str | None, *, full: bool) -> None:
    """Print the tables on standard output, as wide as the terminal.

    Args:
        complexity: Of the whole network.
        title: Says what was measured.
        remark: A word on the figures, or None.
        full: One row per layer instead of per part of the network.
    """
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console = Console(highlight=False, width=120)  # a file or a pipe has no edge
    console.print(title, style="bold", markup=False)
    if full:
        # One line per layer, however long: with names broken to fit a terminal nothing could be found again.
        _print_grid(Console(highlight=False, width=max(console.width, _WIDEST)), _layers(complexity))
    else:
        _print_grid(console, _parts(complexity))
    _print_grid(console, _kinds(complexity))
    console.print(f"\n{_LEGEND}", markup=False, width=min(console.width, 120))
    _print_grid(console, _figures(complexity))
    if remark is not None:
        console.print(f"\n{remark}", markup=False, width=min(console.width, 120))


def write_files(complexity: Complexity, title: str, remark: str | None, stem: str) -> tuple[Path, Path]:
    """Write ``stem``.html, all tables with one row per layer, and ``stem``.csv, the layers.

    Raises:
        UserError: A file cannot be written.
    """
    page, sheet = Path(f"{stem}.html"), Path(f"{stem}.csv")
    write_bytes(page, _html(complexity, title, remark).encode())
    write_bytes(sheet, _csv(complexity).encode())
    return page, sheet


def _parts(complexity: Complexity) -> _Grid:
    """One row per part of the network: stem, transitions, units and fusions of every stage, head, final layer."""
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
    return _Grid("Parts of the network", columns, 3, (1, 2), rows, total)


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
    """The first and the last of the shapes of several branches."""
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


def _kinds(complexity: Complexity) -> _Grid:
    def row(name: str, part: Complexity) -> tuple[str, ...]:
        return name, f"{len(part.layers):,}", f"{part.published_flops / 2**20:,.1f}", *_costs(part)

    columns = ("kind", "layers", "FLOPs\n2^20", "params", "MACs\n10^6", "read\nMB", "written\nMB")
    rows = [row(kind, part) for kind, part in complexity.per_kind().items()]
    return _Grid("Kinds of layers", columns, 1, (), rows, row("total", complexity))


def _layers(complexity: Complexity) -> _Grid:
    rows = [
        (
            layer.name,
            layer.kind,
            _shape_text(layer.input_shape),
            _shape_text(layer.output_shape),
            *_exact_costs(layer),
        )
        for layer in complexity.layers
    ]
    columns = ("layer", "kind", "input", "output", "params", "MACs", "FLOPs", "read\nbytes", "written\nbytes")
    return _Grid("Layers", columns, 4, (), rows, ("total", "", "", "", *_exact_costs(complexity)))


def _exact_costs(part: Complexity | LayerCost) -> tuple[str, ...]:
    numbers = (part.params, part.macs, part.published_flops, part.memory_read_bytes, part.memory_written_bytes)
    return tuple(f"{number:,}" for number in numbers)


def _figures(complexity: Complexity) -> _Grid:
    """The named totals: rounded as they are usually printed, and exact."""
    flops, macs, executed = complexity.published_flops, complexity.macs, complexity.macs_as_published
    rows = [
        (
            "published FLOPs (multiply-adds + batch normalization + ReLU + pooling + upsampling)",
            f"{flops / 2**20:,.1f} x 2^20",
            f"{flops:,}",
        ),
        ("multiply-accumulates, each layer once", f"{macs / 1e6:,.1f} x 10^6", f"{macs:,}"),
        (
            "multiply-accumulates as the published code executes them",
            f"{executed / 1e6:,.1f} x 10^6",
            f"{executed:,}",
        ),
        ("parameters", f"{complexity.params / 1e6:,.2f} x 10^6", f"{complexity.params:,}"),
    ]
    return _Grid("Totals", ("figure", "rounded", "exact"), 1, (0,), rows)


def _print_grid(console: Console, grid: _Grid) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    total = grid.total or ("",) * len(grid.columns)
    table = Table(box=box.SIMPLE, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0), show_footer=bool(grid.total))
    for number, (column, sum_of_column) in enumerate(zip(grid.columns, total, strict=True)):
        table.add_column(
            Text(column),
            Text(sum_of_column),
            justify="left" if number < grid.text_columns else "right",
            overflow="fold",
            no_wrap=number not in grid.wrapped,
        )
    for row in grid.rows:
        table.add_row(*map(Text, row))
    console.print()
    console.print(grid.title, style="bold")
    console.print(table)


def _html(complexity: Complexity, title: str, remark: str | None) -> str:
    grids = (_figures(complexity), _kinds(complexity), _layers(complexity))
    paragraphs = [_LEGEND] if remark is None else [remark, _LEGEND]
    return "\n".join(
        [
            f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{html.escape(title)}</title>',
            f"<style>{_STYLE}</style>\n<h1>{html.escape(title)}</h1>",
            *(f"<p>{html.escape(paragraph)}</p>" for paragraph in paragraphs),
            *map(_html_grid, grids),
            "</html>\n",
        ]
    )


def _html_grid(grid: _Grid) -> str:
    head = _html_row("th", grid.columns, grid.text_columns)
    body = [_html_row("td", row, grid.text_columns) for row in grid.rows]
    if grid.total is not None:
        body.append(_html_row("td", grid.total, grid.text_columns, ' class="total"'))
    return "\n".join([f"<h2>{html.escape(grid.title)}</h2>\n<table>", head, *body, "</table>"])


def _html_row(tag: str, texts: tuple[str, ...], text_columns: int, attributes: str = "") -> str:
    classes = [' class="text"' if number < text_columns else "" for number in range(len(texts))]
    cells = [f"<{tag}{mark}>{html.escape(text)}</{tag}>" for mark, text in zip(classes, texts, strict=True)]
    return f"<tr{attributes}>{''.join(cells)}</tr>"


def _csv(complexity: Complexity) -> str:
    from litehrnet.models.complexity import LayerCost

    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(LayerCost)], lineterminator="\n")
    writer.writeheader()
    for layer in complexity.layers:
        shapes = {"input_shape": _shape_text(layer.input_shape), "output_shape": _shape_text(layer.output_shape)}
        writer.writerow({**asdict(layer), **shapes})
    return text.getvalue()
