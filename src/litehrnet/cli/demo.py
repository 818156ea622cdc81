"""``litehrnet demo``: find the people in a photo with the bundled detector and weights."""

import argparse
from pathlib import Path

from litehrnet.cli.options import add_runtime_options, local_weights, runtime_arguments, say, size_text
from litehrnet.cli.outputs import output_folder
from litehrnet.drawing.skeletons import draw_poses
from litehrnet.inference.estimator import PoseEstimator
from litehrnet.io.images import write_image
from litehrnet.weights.zoo import DEFAULT_WEIGHTS

PHOTO = Path(__file__).parents[1] / "photos" / "three_people.jpg"
"""Three photos of one person each, side by side; the README beside it names their sources and terms."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``litehrnet demo``."""
    parser.add_argument(
        "--weights", default=DEFAULT_WEIGHTS, help="a file, a name or hf://... (default: the bundled weights)"
    )
    parser.add_argument("--photo", type=Path, default=PHOTO, help="a photo of people (default: the bundled one)")
    parser.add_argument("--out-dir", type=Path, default=Path("demo-out"), metavar="DIR", help="default: demo-out")
    add_runtime_options(parser)


def run(options: argparse.Namespace) -> int:
    """Find the people, draw them, and print where the picture is.

    Raises:
        UserError: The weights, the photo or the output folder cannot be used.
    """
    estimator = PoseEstimator(local_weights(options.weights), flip_test=True, **runtime_arguments(options))
    ((photo, poses),) = estimator.predict_many([options.photo])
    with output_folder(options.out_dir, [options.photo]) as out:
        (picture,) = out.choose("demo", "{}.png")
        write_image(picture, draw_poses(photo.image, poses))
        out.record(picture)
    say(f"runtime: {estimator.runtime.description}, input {size_text(estimator.runtime.input_size_wh)}")
    say(f"weights: {options.weights} ({estimator.runtime.info.provenance})")
    say(f"{picture}: {len(poses)} people in {options.photo}")
    return 0
