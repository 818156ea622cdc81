"""``litehrnet serve``: a page on this machine that finds keypoints in the browser."""

import argparse
import contextlib
import sys
import threading

from litehrnet.cli.options import add_input_size, input_size, say, size_text
from litehrnet.serving.http import DEFAULT_PORT, LOOPBACK
from litehrnet.weights.zoo import DEFAULT_WEIGHTS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``litehrnet serve`` takes."""
    parser.add_argument(
        "weights", nargs="?", default=DEFAULT_WEIGHTS, help=".onnx, weights or a name (default: those in the box)"
    )
    parser.add_argument(
        "--host", default=LOOPBACK, help=f"address to listen on (default: {LOOPBACK}, this machine only)"
    )
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help=f"0 for any (default: {DEFAULT_PORT})")
    add_input_size(parser)


def run(options: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C.

    Raises:
        UserError: ONNX Runtime Web or a package is missing, the weights cannot be used, or the port is taken.
    """
    from litehrnet.serving.liveview import check_installed, open_live_view, open_model

    check_installed()
    model = open_model(options.weights, input_size(options))
    with open_live_view(model, options.host, options.port) as site:
        say(f"weights: {options.weights} ({model.info.provenance}), input {size_text(model.input_size_wh)}")
        say(f"{site.url} shows the live view, until Ctrl-C")
        sys.stdout.flush()  # where it is read by another program, too
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()
    return 0
