"""``litehrnet models``: list bundled and downloadable weights, and download them."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from litehrnet.cli.options import add_command, say

if TYPE_CHECKING:
    from litehrnet.weights.zoo import Download


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``litehrnet models``."""
    commands = parser.add_subparsers(dest="models_command", metavar="command")
    summary = "download weights or detectors to the cache folder, and verify them"
    fetch = add_command(commands, "fetch", summary)
    fetch.add_argument("names", nargs="+", metavar="NAME", help="a name that litehrnet models lists")


def run(options: argparse.Namespace) -> int:
    """List the weights, or download some and print where the files are.

    Raises:
        UserError: A name is unknown, or a file cannot be downloaded.
    """
    if options.models_command == "fetch":
        _fetch(options.names)
    else:
        _list()
    return 0


def _fetch(names: list[str]) -> None:
    from litehrnet.weights.zoo import fetch_network, find_download

    for download in [find_download(name) for name in names]:  # unknown names are refused before the first download
        say(f"{download.name}: {download.url}")
        path = fetch_network(download)
        say(f"{path}: {path.stat().st_size:,} bytes, verified by the {download.checked_by} ({download.sha256})")


def _list() -> None:
    from litehrnet.weights.zoo import (
        AUTHORS_LINKS,
        BUNDLED,
        DETECTORS,
        DOWNLOADS,
        SIMCC_LINKS,
        bundled_files,
        cache_folder,
    )

    files = bundled_files()
    say(f"bundled ({BUNDLED}):" if files else "bundled: nothing")
    for path in files:
        say(f"  {path.stem:30} {_described(path)}")
    say(f"\ndownloadable, by others (to {cache_folder()}):")
    for download in (*DOWNLOADS, *DETECTORS):
        say(f"  {download.name:30} {_state(download)}\n  {'':30} {download.url}")
    say("\nby the authors of Lite-HRNet, Dite-HRNet and RTMPose, to be downloaded by hand (without a known checksum):")
    for name, link in (AUTHORS_LINKS | SIMCC_LINKS).items():
        say(f"  {name:30} {link}")
    say("\nlitehrnet models fetch NAME downloads; use weights with --weights NAME, detectors with --detector NAME")


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
    state = "downloaded" if download.path.is_file() else "not downloaded"
    return (
        f"{state}; {download.source}, {width}x{height} (width x height), {download.finds}, "
        f"verified by the {download.checked_by}"
    )
