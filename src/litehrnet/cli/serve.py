"""``litehrnet serve``: a page that finds keypoints in the browser, and a service for programs."""

import argparse
import contextlib
import copy
import ipaddress
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from litehrnet.cli.options import (
    WHOLE_PICTURE,
    add_runtime_options,
    check_people_options,
    input_size,
    local_weights,
    pose_estimator,
    positive_float,
    positive_int,
    runtime_arguments,
    say,
    say_people,
    score,
    size_text,
)
from litehrnet.errors import UserError
from litehrnet.optional import require
from litehrnet.processors import default_threads
from litehrnet.serving import DEFAULT_PORT, LOOPBACK
from litehrnet.weights.zoo import DEFAULT_WEIGHTS

if TYPE_CHECKING:
    from litehrnet.inference.estimator import PoseEstimator
    from litehrnet.serving.content import Document
    from litehrnet.serving.liveview import PageDetector, PageNetwork

TOKEN = "LITEHRNET_TOKEN"
"""Environment variable with the token, as arguments of a program are visible to everybody on the machine."""
SHORTEST_TOKEN = 16
"""Characters of the shortest token that is accepted."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``litehrnet serve``."""
    parser.add_argument(
        "weights", nargs="?", default=DEFAULT_WEIGHTS, help="weights, a name or hf://... (default: the bundled weights)"
    )
    page = parser.add_mutually_exclusive_group()
    page.add_argument("--no-page", action="store_true", help="serve no page, only POST /predict for programs")
    page.add_argument(
        "--write", type=Path, metavar="FOLDER", help="write the page to a new folder, for any web server, and stop"
    )
    parser.add_argument(
        "--host",
        default=LOOPBACK,
        help=f"address to listen on (default: {LOOPBACK}, this machine only); for others, set {TOKEN} to a secret",
    )
    parser.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help=f"port, 0 for any free one (default: {DEFAULT_PORT})"
    )
    people = parser.add_argument_group("people")
    people.add_argument(
        "--detector",
        metavar="NAME|FILE",
        help="a detector; for the page, one that litehrnet trained (default: the bundled one, for keypoints of people)",
    )
    people.add_argument("--min-box-score", type=score, metavar="S", help="leave out boxes with a lower score, 0 to 1")
    people.add_argument("--whole-image", action="store_true", help=WHOLE_PICTURE)
    limits = parser.add_argument_group("limits of POST /predict")
    limits.add_argument(
        "--max-megabytes", type=positive_float, default=20.0, metavar="MB", help="largest body (default: 20)"
    )
    limits.add_argument(
        "--max-megapixels", type=positive_float, default=50.0, metavar="MP", help="largest photo (default: 50)"
    )
    limits.add_argument(
        "--max-waiting", type=positive_int, default=64, metavar="N", help="photos in line or computed (default: 64)"
    )
    limits.add_argument(
        "--timeout", type=positive_float, default=30.0, metavar="S", help="seconds per request (default: 30)"
    )
    add_runtime_options(parser)


def run(options: argparse.Namespace) -> int:
    """Serve the page and the service until Ctrl-C or SIGTERM.

    Raises:
        UserError: The engine for browsers or a package is missing, the weights cannot be used, the port is taken,
            options contradict each other, or the token is missing.
    """
    check_people_options(options, "detector", "whole-image")
    require("tornado", "serve", "litehrnet serve")
    if options.write:
        return _write_page(options)
    from litehrnet.serving.photos import Limits
    from litehrnet.serving.service import open_service

    token = _token(options.host)
    options.weights = local_weights(options.weights)
    answers = {} if options.no_page else _page(options)
    limits = Limits(
        body_bytes=int(options.max_megabytes * 1e6),
        pixels=int(options.max_megapixels * 1e6),
        waiting=options.max_waiting,
        seconds=options.timeout,
    )
    with open_service(_estimators(options), limits, answers, options.host, options.port, token) as site:
        if not options.no_page:
            say(f"{site.url} shows the live view")
        say(f"{site.url}predict answers photos, and {site.url}openapi.json describes it, until Ctrl-C")
        sys.stdout.flush()  # also if another program reads it
        wait_for_interrupt()
    return 0


def wait_for_interrupt() -> None:
    """Wait for Ctrl-C, or for SIGTERM, which stops containers and services."""
    with contextlib.suppress(KeyboardInterrupt):
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        threading.Event().wait()


def _token(host: str) -> str | None:
    token = os.environ.get(TOKEN)
    if token is None and not _is_loopback(host):
        raise UserError(f"{host}: other machines may reach it, and {TOKEN} is not set (expected a secret in it)")
    if token is not None and (
        len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token
    ):
        raise UserError(f"{TOKEN}: not a token (expected at least {SHORTEST_TOKEN} letters and digits)")
    return token


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _page(options: argparse.Namespace) -> "dict[str, Document]":
    from litehrnet.serving.liveview import page_answers

    return page_answers(*_networks(options))


def _write_page(options: argparse.Namespace) -> int:
    from litehrnet.serving.liveview import write_page

    write_page(options.write, *_networks(options))
    say(f"{options.write}: written; any web server can serve this folder, and pages may embed it")
    return 0


def _networks(options: argparse.Namespace) -> "tuple[PageNetwork, PageDetector | None]":
    from litehrnet.serving.liveview import check_installed, open_model, open_page_detector

    check_installed()
    model = open_model(options.weights, input_size(options))
    detector = None
    if not options.whole_image:
        detector = open_page_detector(options.detector, model.info.keypoint_set, options.min_box_score)
    say(f"weights: {options.weights} ({model.info.provenance}), input {size_text(model.input_size_wh)}")
    return model, detector


def _estimators(options: argparse.Namespace) -> "list[PoseEstimator]":
    """Open one estimator per thread, as photos that are computed side by side need no threads of their own."""
    from litehrnet.runtimes import open_runtime

    count = options.threads or default_threads()
    options.threads, options.flip, options.max_persons = 1, False, None
    estimator = pose_estimator(options, open_runtime(options.weights, **runtime_arguments(options)), with_detector=True)
    say_people(options, estimator)
    return [estimator, *(copy.deepcopy(estimator) for _ in range(count - 1))]
