"""Checkpoint files in a run's folder; each file is complete at any moment, even after a crash.

Names and contents of the files: docs/spec/protocol.md, section 5.6.
"""

import contextlib
import io
from pathlib import Path
from typing import Any

import torch

from litehrnet.errors import UserError
from litehrnet.io.files import replacing, write_bytes

LATEST = "latest.pth"
SNAPSHOT = "snapshot.pth"
EARLIER = "earlier.pth"
BEST = "best.pth"
BEST_SCORE = "best.json"


def write_checkpoint(path: Path, checkpoint: dict[str, Any]) -> None:
    """Write one checkpoint file in one step.

    Raises:
        UserError: The file cannot be written; an earlier file stays.
    """
    # Written from memory: PyTorch's own file writer loses the system's error message.
    content = io.BytesIO()
    torch.save(checkpoint, content)
    write_bytes(path, content.getvalue())


def save_checkpoint(folder: Path, name: str, checkpoint: dict[str, Any]) -> None:
    """Write a checkpoint and point ``latest.pth`` to it.

    Raises:
        UserError: The folder cannot be written to; ``latest.pth`` stays as it was.
    """
    write_checkpoint(folder / name, checkpoint)
    with replacing(folder / LATEST) as temporary:
        temporary.unlink()
        try:
            temporary.symlink_to(name)  # relative, so that the folder can be moved
        except OSError:
            # Some file systems have no links.
            temporary.write_bytes((folder / name).read_bytes())
    if name != SNAPSHOT:
        with contextlib.suppress(OSError):  # only takes up space
            (folder / SNAPSHOT).unlink(missing_ok=True)


def newest_checkpoint(folder: Path) -> Path | None:
    """Find ``latest.pth`` in a run's folder; None before the first checkpoint.

    Raises:
        UserError: It points to a missing file.
    """
    latest = folder / LATEST
    if latest.is_symlink() and not latest.exists():
        raise UserError(f"{latest}: points to {latest.readlink()}, which is missing (name another checkpoint)")
    return latest if latest.exists() else None


def set_aside(folder: Path) -> str | None:
    """Prepare the folder of an earlier run for a new one.

    ``snapshot.pth`` becomes ``earlier.pth``. ``latest.pth`` and ``best.json`` are removed, so that they are not taken
    for files of the new run.

    Returns:
        A note about the earlier run, or None where there was none.

    Raises:
        UserError: The folder cannot be written to.
    """
    if not any((folder / name).exists() for name in (LATEST, SNAPSHOT, BEST_SCORE)):
        return None
    try:
        kept = (folder / SNAPSHOT).exists()
        if kept:
            (folder / SNAPSHOT).replace(folder / EARLIER)
        for name in (LATEST, BEST_SCORE):
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written to ({error.strerror})") from error
    note = f"{folder} holds an earlier run, whose files will be overwritten"
    return note + (f"; its last state is kept as {folder / EARLIER} (--resume-from)" if kept else "")
