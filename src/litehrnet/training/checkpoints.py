"""The checkpoint files of a run's folder: whole at any moment, whatever happens to the process or the disk.

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
        UserError: It cannot be written; what was there before is still there.
    """
    # By way of memory: PyTorch's own writer of files loses the system's reason when it fails.
    content = io.BytesIO()
    torch.save(checkpoint, content)
    write_bytes(path, content.getvalue())


def save_checkpoint(folder: Path, name: str, checkpoint: dict[str, Any]) -> None:
    """Write ``name`` and let ``latest.pth`` point to it.

    Raises:
        UserError: The folder cannot be written to; ``latest.pth`` is then what it was before.
    """
    write_checkpoint(folder / name, checkpoint)
    with replacing(folder / LATEST) as temporary:
        temporary.unlink()
        try:
            temporary.symlink_to(name)  # relative, as published: the folder can be moved
        except OSError:
            # Not all file systems have links.
            temporary.write_bytes((folder / name).read_bytes())
    if name != SNAPSHOT:
        with contextlib.suppress(OSError):  # only takes up space
            (folder / SNAPSHOT).unlink(missing_ok=True)


def newest_checkpoint(folder: Path) -> Path | None:
    """``latest.pth`` of a run's folder; None where no checkpoint has been written yet.

    Raises:
        UserError: It points to a file that is gone.
    """
    latest = folder / LATEST
    if latest.is_symlink() and not latest.exists():
        raise UserError(f"{latest}: points to {latest.readlink()}, which is gone (name another checkpoint)")
    return latest if latest.exists() else None


def set_aside(folder: Path) -> str | None:
    """Make room for a run that starts anew in the folder of an earlier one.

    Its ``snapshot.pth`` becomes ``earlier.pth``; its ``latest.pth`` and ``best.json``, which would be taken for those
    of the new run, are removed.

    Returns:
        A sentence about it, or None where there was no earlier run.

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
