"""Checkpoint files in a run's folder; each file is complete at any moment, even after a crash.

Names and contents of the files: docs/spec/protocol.md, section 5.6.
"""

import contextlib
import io
import itertools
from pathlib import Path
from typing import Any

import torch

from litehrnet.errors import UserError
from litehrnet.io.files import replacing, write_bytes

LATEST = "latest.pth"
SNAPSHOT = "snapshot.pth"
BEST = "best.pth"
BEST_SCORE = "best.json"

_DETECTOR = "detector"  # folder of the detector that --with-detector trains
_KEPT = ("epoch_[0-9]*.pth", LATEST, SNAPSHOT, BEST, BEST_SCORE, "best.safetensors", "last.safetensors")
_RESULTS = ("result_keypoints.json", "pred.mat")  # predictions of the last evaluation
_STAMP = "[0-9]" * 8 + "_" + "[0-9]" * 6
_RUN_FILES = (*_KEPT, "config.py", "curves.png", "tf_logs", f"{_STAMP}.log", f"{_STAMP}.log.json", *_RESULTS)


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
    """Move the files of an earlier run from ``folder`` to a new folder ``NAME_1``, ``NAME_2``, ... beside it.

    Other files in the folder stay. Where nothing can be made beside it, such as for a mounted disk, the new folder is
    inside it.

    Returns:
        A note about the earlier run, or None where there was none.

    Raises:
        UserError: The files cannot be moved.
    """
    if not holds_run(folder):
        return None
    files = sorted({path for pattern in _RUN_FILES for path in folder.glob(pattern)})
    if holds_run(folder / _DETECTOR):
        files.append(folder / _DETECTOR)
    real = folder.resolve()
    try:
        target = _moved(files, real.parent, real.name)
    except OSError:
        try:
            target = _moved(files, real, real.name)
        except OSError as error:
            raise UserError(f"{folder}: its earlier run cannot be moved aside ({error.strerror})") from error
    return f"{folder} held an earlier run, whose files are now in {target}"


def _moved(files: list[Path], parent: Path, name: str) -> Path:
    """Move files to the first free folder NAME_1, NAME_2, ... below ``parent``."""
    target = next(path for i in itertools.count(1) if not (path := parent / f"{name}_{i}").exists())
    target.mkdir()
    try:
        for path in files:
            path.rename(target / path.name)
    except OSError:
        with contextlib.suppress(OSError):
            target.rmdir()  # is empty if the disk is another one
        raise
    return target


def holds_run(folder: Path) -> bool:
    """Whether a folder has checkpoints or weights of a run."""
    return any(any(folder.glob(pattern)) for pattern in _KEPT)
