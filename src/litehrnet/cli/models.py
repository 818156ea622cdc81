"""``litehrnet models``: the weights in the box, and networks of others that are fetched on request."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from litehrnet.cli.options import say

if TYPE_CHECKING:
    from litehrnet.weights.zoo import Download


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``litehrnet models`` takes."""
    commands = parser.add_subparsers(dest="models_command", metavar="command")
    summary = "fetch weights or detectors of others into the cache folder, and check them"
    fetch = commands.add_parser("fetch", help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
    fetch.add_argument("names", nargs="+", metavar="NAME", help="as litehrnet models lists them")


def run(options: argparse.Namespace) -> int:
    """List, or fetch and say where the files are.

    Raises:
        UserError: There is no such name, or a file cannot be fetched.
    """
    if options.models_command == "fetch":
        _fetch(options.names)
    else:
        _list()
    return 0


def _fetch(names: list[str]) -> None:
    from litehrnet.weights.zoo import fetch_network, find_download

    for download in [find_download(name) for name in names]:  # all names are looked at before anything is fetched
        say(f"{download.name}: {download.url}")
        path = fetch_network(download)
        say(f"{path}: {path.stat().st_size:,} bytes, checked by the {download.checked_by} ({download.sha256})")


def _list() -> None:
    from litehrnet.weights.zoo import AUTHORS_LINKS, BUNDLED, DETECTORS, DOWNLOADS, box_files, cache_folder

    files = box_files()
    say(f"in the box ({BUNDLED}):" if files else "in the box: nothing")
    for path in files:
        say(f"  {path.stem:30} {_described(path)}")
    say(f"\nof others, to be fetched into {cache_folder()}:")
    for download in (*DOWNLOADS, *DETECTORS):
        say(f"  {download.name:30} {_state(download)}\n  {'':30} {download.url}")
    say("\nof the authors of Lite-HRNet, to be fetched by hand (no checksum is known):")
    for name, link in AUTHORS_LINKS.items():
        say(f"  {name:30} {link}")
    say("\nlitehrnet models fetch NAME fetches; --weights NAME takes weights, --detector NAME what finds persons")


def _described(path: Path) -> str:
    from litehrnet.weights.weights_file import read_weights

    size = f"{path.stat().st_size / 1e6:.1f} MB"
    if path.suffix != ".safetensors":
        return f"{path.name}, {size}"
    _, info = read_weights(path)
    width, height = info.input_size_wh or (0, 0)
    crops = f"{width}x{height} (width x height), " if info.input_size_wh else ""
    return f"{path.name}, {size}, {info.variant}, {crops}{info.outputs.name}: {info.provenance}"


def _state(download: "Download") -> str:
    width, height = download.input_size_wh
    state = "fetched" if download.path.is_file() else "not fetched"
    return (
        f"{state}; {download.source}, {width}x{height} (width x height), {download.finds}, "
        f"checked by the {download.checked_by}"
    )
