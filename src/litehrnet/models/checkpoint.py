"""Reading PyTorch checkpoints without running code from them.

A ``.pth`` file is a pickle, and a pickle may call any function. PyTorch's restricted unpickler rebuilds only tensors
and plain values. MMEngine also stores its training history as NumPy arrays; these become empty stand-ins.
"""

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from litehrnet.errors import UserError
from litehrnet.io.files import read_bytes


class StandIn:
    """Empty object in place of an instance of a class in ``_STAND_INS``."""

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, _: Any) -> None:
        pass


_STAND_INS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    (StandIn, name)
    for name in (
        "builtins.getattr",
        "mmengine.logging.history_buffer.HistoryBuffer",
        "numpy.core.multiarray._reconstruct",
        "numpy.core.multiarray.scalar",
        "numpy._core.multiarray._reconstruct",
        "numpy._core.multiarray.scalar",
        "numpy.ndarray",
        "numpy.dtype",
    )
]


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read the weights in a checkpoint of the reference implementation, MMPose 1.x or this project.

    The file contains a dictionary with ``state_dict`` (and ``meta``, ``optimizer`` ...) or a bare state dict. The
    prefix ``module.`` is removed, and ``head.`` of MMPose 1.x becomes ``keypoint_head.``.

    Returns:
        Tensors by parameter name of the reference implementation.

    Raises:
        UserError: The file is missing or damaged, contains objects that could run code, or has no weights.
    """
    loaded = read_contents(path)
    state = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else None
    if not isinstance(state, dict) or not state or not all(isinstance(key, str) for key in state):
        raise UserError(f"{path}: has no weights (expected a state dict, bare or under 'state_dict')")
    weights = {}
    for key, value in state.items():
        name = _reference_name(key)
        if name.startswith("data_preprocessor."):
            continue
        if not _is_plain_tensor(value):
            raise UserError(f"{path}: {key} is not an array of numbers (expected a dense tensor)")
        weights[name] = value.detach()
    return weights


def read_contents(path: Path) -> Any:
    """Read the whole content of a PyTorch checkpoint without running code from it; tensors are on the CPU.

    Raises:
        UserError: The file is missing or damaged, or contains objects that could run code.
    """
    return _unpickle(read_bytes(path), path)


def _is_plain_tensor(value: Any) -> bool:
    if not isinstance(value, Tensor) or value.layout is not torch.strided:
        return False
    return not (value.is_meta or value.is_complex() or value.is_quantized)


def _reference_name(key: str) -> str:
    key = key.removeprefix("module.")
    return f"keypoint_{key}" if key.startswith("head.") else key


def _unpickle(content: bytes, path: Path) -> Any:
    if content.startswith(b"PK"):
        _check_zip(content, path)
    elif not content.startswith(b"\x80"):
        raise UserError(f"{path}: not a PyTorch checkpoint (expected a file that torch.save wrote)")
    try:
        with torch.serialization.safe_globals(_STAND_INS):
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "GLOBAL" in str(error):
            raise UserError(
                f"{path}: contains {_forbidden(content, str(error))}, which could run code and was not loaded "
                "(expected tensors and plain values only)"
            ) from error
        raise _damaged(path) from error
    except Exception as error:
        # With damaged streams the unpickler raises many kinds of exceptions (KeyError, struct.error ...).
        raise _damaged(path) from error


def _check_zip(content: bytes, path: Path) -> None:
    # PyTorch does not verify the checksums in its files.
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            broken = archive.testzip()
    except Exception as error:
        # Damaged headers make zipfile raise BadZipFile, but also zlib.error, NotImplementedError, ValueError ...
        raise _damaged(path) from error
    if broken is not None:
        raise _damaged(path)


def _damaged(path: Path) -> UserError:
    return UserError(f"{path}: damaged or cut short (expected a complete PyTorch checkpoint)")


def _forbidden(content: bytes, message: str) -> str:
    try:
        with torch.serialization.safe_globals(_STAND_INS):
            names = torch.serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(content))
    except Exception:
        # The names are for the message only; some old files and pickles cannot be listed.
        names = []
    if names:
        return " and ".join(sorted(names))
    after = message.partition("GLOBAL ")[2].split(" ")
    return after[0] if after[0] else "a class"
