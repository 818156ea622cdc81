"""Class of objects that a detection network finds."""

from dataclasses import dataclass

MAPS = 5
"""Number of output maps of a detection network: center score, and distances to left, top, right and bottom."""


@dataclass(frozen=True)
class ObjectClass:
    """The one class of objects that a detection network finds.

    Attributes:
        name: Name of the category in annotation files, such as ``person``.
    """

    name: str

    def __len__(self) -> int:
        """Number of output maps."""
        return MAPS
