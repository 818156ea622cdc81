"""``litehrnet serve``: a page on this machine that finds keypoints in the browser."""

import argparse
import contextlib
import sys
import threading

from litehrnet.cli.options import (
    WHOLE_PICTURE,
    add_input_size,
    check_people_options,
    input_size,
    say,
    score,
    size_text,
)
from litehrnet.serving.http import DEFAULT_PORT, LOOPBACK
from litehrnet.serving.liveview import check_installed, open_live_view, open_model, open_page_detector
from litehrnet.weights.zoo import DEFAULT_WEIGHTS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``litehrnet serve``."""
    parser.add_argument(
        "weights", nargs="?", default=DEFAULT_WEIGHTS, help=".onnx, weights or a name (default: the bundled weights)"
    )
    parser.add_argument(
        "--detector",
        metavar="NAME|FILE",
        help="a detector that litehrnet trained (default: the bundled one, for keypoints of people)",
    )
    parser.add_argument("--min-box-score", type=score, metavar="S", help="leave out boxes with a lower score, 0 to 1")
    parser.add_argument("--whole-image", action="store_true", help=WHOLE_PICTURE)
    parser.add_argument(
        "--host", default=LOOPBACK, help=f"address to listen on (default: {LOOPBACK}, this machine only)"
    )
    parser.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help=f"port, 0 for any free one (default: {DEFAULT_PORT})"
    )
    add_input_size(parser)


def run(options: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C.

    Raises:
        UserError: ONNX Runtime Web or a package is missing, the weights cannot be used, the port is taken, or options
            contradict each other.
    """
    check_people_options(options, "detector", "whole-image")
    check_installed()
    model = open_model(options.weights, input_size(options))
    detector = None
    if not options.whole_image:
        detector = open_page_detector(options.detector, model.info.keypoint_set, options.min_box_score)
    with open_live_view(model, detector, options.host, options.port) as site:
        say(f"weights: {options.weights} ({model.info.provenance}), input {size_text(model.input_size_wh)}")
        if detector is not None:
            network = detector.network
            say(f"detector: {options.detector or network.name}, input {size_text(network.input_size_wh)}")
        say(f"{site.url} shows the live view, until Ctrl-C")
        sys.stdout.flush()  # also if another program reads it
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()
    return 0
