"""The kind of object that a detection network finds."""

from dataclasses import dataclass

MAPS = 5
"""Output maps of a detection network: the score of a center, and the distances to the left, top, right and bottom."""


@dataclass(frozen=True)
class ObjectClass:
    """The one class of objects that a detection network finds.

    Attributes:
        name: Such as ``person``; the name of the category in annotation files.
    """

    name: str

    def __len__(self) -> int:
        """Number of output maps."""
        return MAPS
