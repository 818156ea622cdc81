"""Progress of long work, reported without knowing who shows it."""

from typing import Protocol


class Progress(Protocol):
    """Receives how far the work is."""

    def start(self, total: int | None) -> None:
        """Begin, with the number of items; None where it is not known."""

    def advance(self, count: int) -> None:
        """Report items that were done since the last call."""


class _Silent:
    def start(self, total: int | None) -> None:
        pass

    def advance(self, count: int) -> None:
        pass


SILENT: Progress = _Silent()
"""Shows nothing."""
