"""The table of tools: how their files are recognized, and who reads them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from litehrnet.data.tools.cvat import read_cvat
from litehrnet.data.tools.deeplabcut import label_files, read_deeplabcut
from litehrnet.data.tools.label_studio import read_label_studio
from litehrnet.data.tools.project import Project
from litehrnet.data.tools.sleap import read_sleap
from litehrnet.data.tools.yolo import data_file, read_yolo
from litehrnet.errors import UserError

_BEGIN = 4096  # bytes that tell what a file is


def _is_pandas(begin: bytes) -> bool:
    return begin.startswith(b"\x89HDF") and b"pandas_type" in begin


@dataclass(frozen=True)
class Kind:
    """Annotations of one tool.

    Attributes:
        title: Its files, in a few words.
        recognizes: Function of a path and the first bytes of its file (none for a folder).
        read: Its reader.
    """

    title: str
    recognizes: Callable[[Path, bytes], bool]
    read: Callable[[Path], Project]


KINDS = {
    "cvat": Kind("CVAT's XML for images", lambda _, begin: begin.startswith(b"<"), read_cvat),
    "label-studio": Kind("Label Studio's JSON", lambda _, begin: begin.startswith(b"["), read_label_studio),
    "yolo": Kind("data.yaml of YOLO-pose", lambda path, _: data_file(path) is not None, read_yolo),
    "deeplabcut": Kind(
        "DeepLabCut's CollectedData_NAME.csv or .h5",
        lambda path, begin: (
            begin.startswith(b"scorer") or _is_pandas(begin) or (path.is_dir() and bool(label_files(path)))
        ),
        read_deeplabcut,
    ),
    "sleap": Kind(
        "SLEAP's .slp or analysis HDF5",
        lambda _, begin: begin.startswith(b"\x89HDF") and not _is_pandas(begin),
        read_sleap,
    ),
}
"""Kinds by the name that ``--from`` takes."""


def read_project(path: Path, name: str | None = None) -> Project:
    """Read the annotations of another tool.

    Args:
        path: File or folder.
        name: Name of its kind; None for what its content says.

    Raises:
        UserError: The path is missing, its kind is unknown or not clear, or it is broken.
    """
    kind = KINDS[name or _recognized(path)]
    try:
        return kind.read(path)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise UserError(f"{path}: is not laid out as {kind.title} ({reason})") from error


def _recognized(path: Path) -> str:
    try:
        if path.is_dir():
            begin = b""
        else:
            with path.open("rb") as file:
                begin = file.read(_BEGIN).removeprefix(b"\xef\xbb\xbf").lstrip()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    if begin.startswith(b"{"):
        raise UserError(
            f"{path}: a JSON object is not converted (COCO's annotations are named in a recipe as they are)"
        )
    names = [name for name, kind in KINDS.items() if kind.recognizes(path, begin)]
    if not names:
        raise UserError(f"{path}: not recognized (expected {', '.join(kind.title for kind in KINDS.values())})")
    if len(names) > 1:
        raise UserError(f"{path}: may be {' or '.join(names)} (expected --from with one of them)")
    return names[0]
