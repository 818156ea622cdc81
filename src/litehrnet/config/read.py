"""The one way to a configuration, whichever style its file is written in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from litehrnet.config.mmpose.reader import is_published, read_published
from litehrnet.config.overrides import parse_overrides
from litehrnet.config.recipes import read_recipe, read_text, recipe_path
from litehrnet.config.schema import RunConfig
from litehrnet.errors import UserError


@dataclass(frozen=True)
class LoadedConfig:
    """A configuration and where it came from.

    Attributes:
        config: With the overrides.
        recipe: Without them.
        notes: Sentences to print: what was corrected or understood in another way than it stands in the file.
        text: Content of the file.
    """

    config: RunConfig
    recipe: RunConfig
    notes: tuple[str, ...]
    text: str


def load_config(target: str | Path, overrides: Sequence[str] = ()) -> LoadedConfig:
    """Read a configuration: a recipe of ours, or a published file of dictionaries.

    Args:
        target: A recipe by file or name, or a published ``.py`` or ``.json`` file.
        overrides: Words such as ``training.batch_size=16``, in the keys of the file: ``data.samples_per_gpu=16`` for
            a published one.

    Raises:
        UserError: There is no such file, or it or an override says something that cannot be.
    """
    path = recipe_path(target)
    text = read_text(path)
    parsed = parse_overrides(overrides)
    config, notes = _read(path, text, parsed)
    try:
        recipe, _ = _read(path, text, {})
    except UserError:
        recipe = config  # a file that only the overrides make usable
    return LoadedConfig(config, recipe, notes, text)


def _read(path: Path, text: str, overrides: Mapping[str, Any]) -> tuple[RunConfig, tuple[str, ...]]:
    if is_published(text, path):
        return read_published(text, path, overrides)
    return read_recipe(path, overrides), ()
