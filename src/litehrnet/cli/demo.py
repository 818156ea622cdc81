"""``litehrnet demo``: the skeleton of a person in a photo, from what comes with the package alone."""

import argparse
from pathlib import Path

from litehrnet.cli.options import add_runtime_options, runtime_arguments, say, size_text
from litehrnet.cli.outputs import output_folder
from litehrnet.library import DEFAULT_WEIGHTS

PHOTO = Path(__file__).parents[1] / "photos" / "astronaut.jpg"
"""NASA's portrait of Eileen Collins; its source and terms stand beside it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``litehrnet demo`` takes."""
    parser.add_argument(
        "--weights", type=Path, default=Path(DEFAULT_WEIGHTS), help="a file or a name (default: those in the box)"
    )
    parser.add_argument("--photo", type=Path, default=PHOTO, help="of one person (default: a portrait by NASA)")
    parser.add_argument("--out-dir", type=Path, default=Path("demo-out"), metavar="DIR", help="default: demo-out")
    add_runtime_options(parser)


def run(options: argparse.Namespace) -> int:
    """Predict, draw, and say where the picture is.

    Raises:
        UserError: Something that was named cannot be used.
    """
    from litehrnet.images import write_image
    from litehrnet.inference.draw import draw_poses
    from litehrnet.inference.estimator import PoseEstimator
    from litehrnet.inference.photo import make_photo

    estimator = PoseEstimator(options.weights, flip_test=True, whole_image=True, **runtime_arguments(options))
    photo = make_photo(options.photo)
    ((_, poses),) = estimator.predict_many([photo])
    with output_folder(options.out_dir, [options.photo]) as out:
        (picture,) = out.choose("demo", "{}.png")
        write_image(picture, draw_poses(photo.image, poses))
        out.record(picture)
    say(f"runtime: {estimator.runtime.description}, input {size_text(estimator.runtime.input_size_wh)}")
    say(f"weights: {options.weights} ({estimator.runtime.info.provenance})")
    say(f"{picture}: the person in {options.photo}")
    return 0
