"""Load a configuration from a recipe or an mmpose config; its file is read and parsed once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from litehrnet.config.mmpose.reader import MmposeSource, is_mmpose_config, make_config, parse_json
from litehrnet.config.overrides import parse_overrides
from litehrnet.config.recipes import make_recipe, parse_python, read_assignments, read_text, recipe_path
from litehrnet.config.schema import RunConfig, with_outputs
from litehrnet.errors import UserError


@dataclass(frozen=True)
class LoadedConfig:
    """A configuration and where it came from.

    Attributes:
        config: The configuration with the overrides, its keypoints or classes resolved.
        recipe: The configuration without the overrides, to compare with.
        notes: Sentences to print about settings that are interpreted differently from how they are written.
    """

    config: RunConfig
    recipe: RunConfig
    notes: tuple[str, ...]


def load_config(target: str | Path, overrides: Sequence[str] = ()) -> LoadedConfig:
    """Read a configuration: a recipe, or an mmpose config.

    Args:
        target: A recipe by file or name, or an mmpose config (``.py`` or ``.json``).
        overrides: Words such as ``training.batch_size=16``, with the keys of the file: ``data.samples_per_gpu=16`` for
            an mmpose config.

    Raises:
        UserError: The file is missing, or the file or an override is invalid.
    """
    path = recipe_path(target)
    parsed = parse_overrides(overrides)
    build = _builder(path, read_text(path))
    config, notes = build(parsed)
    try:
        recipe, _ = build({})
    except UserError:
        recipe = config  # a file that only the overrides make usable
    return LoadedConfig(with_outputs(config), recipe, notes)


_Build = Callable[[Mapping[str, Any]], tuple[RunConfig, tuple[str, ...]]]


def _builder(path: Path, text: str) -> _Build:
    """Parse a file; return the function that makes the configuration, and notes on it, from overrides."""
    if path.suffix == ".json":
        source = MmposeSource(path, parse_json(text, path))
        return lambda overrides: make_config(source, overrides)
    tree = parse_python(text, path)
    if is_mmpose_config(tree):
        source = MmposeSource(path, tree)
        return lambda overrides: make_config(source, overrides)
    values = read_assignments(tree, path)
    return lambda overrides: (make_recipe(values, path, overrides), ())
