"""``litehrnet recipes``: list the bundled training recipes, or copy one to a file to edit."""

import argparse
from pathlib import Path

from litehrnet.cli.options import add_command, say, say_aligned
from litehrnet.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``litehrnet recipes``."""
    commands = parser.add_subparsers(dest="recipes_command", metavar="command")
    summary = "copy a recipe to a new file"
    copy = add_command(commands, "copy", summary)
    copy.add_argument("name", metavar="NAME", help="a recipe that litehrnet recipes lists")
    copy.add_argument(
        "out", type=Path, metavar="FILE", help="the .py file to write; an existing file is never replaced"
    )


def run(options: argparse.Namespace) -> int:
    """List the recipes, or copy one.

    Raises:
        UserError: The name is unknown, or the file exists or cannot be written.
    """
    if options.recipes_command == "copy":
        _copy(options.name, options.out)
    else:
        _list()
    return 0


def _copy(name: str, out: Path) -> None:
    from litehrnet.config.recipes import recipe_path
    from litehrnet.io.files import read_bytes

    if out.suffix != ".py":
        raise UserError(f"{out}: not a name for a recipe (expected one that ends in .py)")
    content = read_bytes(recipe_path(name))
    try:
        with out.open("xb") as file:
            file.write(content)
    except FileExistsError as error:
        raise UserError(f"{out}: exists already (expected the name of a new file)") from error
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror})") from error
    say(f"{out}: copy of {name} (edit it, then: litehrnet train {out})")


def _list() -> None:
    from litehrnet.config.recipes import read_recipe, recipe_names
    from litehrnet.weights.weights_file import outputs_text

    rows = [("name", "finds", "input", "training photos")]
    for name in recipe_names():
        config = read_recipe(name)
        width, height = config.input_size_wh
        photos = ", ".join(dict.fromkeys(data.images for data in config.train))
        rows.append((name, outputs_text(config.outputs), f"{width}x{height}", photos or "none"))
    say_aligned(rows)
    say("\ninput: width x height; litehrnet recipes copy NAME mine.py makes a copy to edit")
