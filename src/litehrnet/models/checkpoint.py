"""Reading PyTorch checkpoints without running code from them.

A ``.pth`` file is a pickle, and a pickle may call any function. PyTorch's restricted unpickler rebuilds only tensors
and plain values. MMEngine also stores its training history as NumPy arrays, and training scripts their arguments; these
become empty stand-ins.
"""

import io
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from litehrnet.errors import UserError
from litehrnet.io.files import read_bytes
from litehrnet.io.notes import say_once

AVERAGES = ("state_dict_ema", "model_ema")
CONTAINERS = ("state_dict", "model_state_dict", "model", *AVERAGES)
"""Keys under which training scripts store a state dict, the preferred ones first."""

_WRAPPERS = re.compile(r"^(?:(?:module|model|net|network)\.)+")  # DataParallel, and Lightning modules
_FIRST_LAYERS = ("stem.", "conv1.conv.")  # of backbones that are saved without their prefix
_COUNTERS = ("total_ops", "total_params")  # buffers that thop leaves in every module


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
        "argparse.Namespace",  # arguments of scripts
        "pathlib.PosixPath",
        "pathlib.WindowsPath",
    )
]
# Lightning's hyperparameters: the unpickler fills dictionaries only.
_STAND_INS += [
    (dict, f"{package}.AttributeDict")
    for package in (
        "pytorch_lightning.utilities.parsing",
        "lightning.pytorch.utilities.parsing",
        "lightning_fabric.utilities.data",
        "lightning.fabric.utilities.data",
    )
]


def read_checkpoint(path: Path, average: bool = False) -> dict[str, Tensor]:
    """Read the weights in a checkpoint of the reference implementation, MMPose 1.x, this project or a training script.

    The file contains a bare state dict, or a dictionary with ``state_dict`` or another of ``CONTAINERS``. Prefixes of
    wrappers are removed, such as ``module.`` and ``model.``, and ``head.`` of MMPose 1.x becomes ``keypoint_head.``. A
    line is logged if more than ``module.`` was removed.

    Args:
        path: The file.
        average: Read the average of the weights over the training, which ``AVERAGES`` or mmcv's EMAHook store.

    Returns:
        Tensors by parameter name of the reference implementation.

    Raises:
        UserError: The file is missing or damaged, contains objects that could run code, or has no (average) weights.
    """
    loaded = read_contents(path)
    containers = [key for key in CONTAINERS if isinstance(loaded, dict) and key in loaded]
    containers.sort(key=lambda key: not isinstance(loaded[key], dict))  # "model" may be the name of a network
    averages = [key for key in AVERAGES if key in containers]
    chosen = ((average and averages) or containers)[:1]
    state = loaded[chosen[0]] if chosen else loaded
    if not isinstance(state, dict) or not state or not all(isinstance(key, str) for key in state):
        raise UserError(f"{path}: has no weights (expected a state dict, bare or under {' or '.join(CONTAINERS)})")
    weights, notes = _named(state, path)
    plain, averaged = _without_averages(weights)
    if average and not averages:
        plain = _with_averages(plain, averaged, path)
    notes = [f"from {key}" for key in chosen if key != "state_dict"] + notes
    if not average and (averaged or (averages and chosen != averages[:1])):
        notes.append("not their average, which litehrnet convert --average reads")
    if notes:
        say_once(f"note: {path}: weights {', '.join(notes)}")
    return plain


def _named(state: dict[str, Any], path: Path) -> tuple[dict[str, Tensor], list[str]]:
    """Return the arrays under their names without prefixes, and notes on what was removed."""
    weights: dict[str, Tensor] = {}
    prefixes: set[str] = set()
    counters = 0
    for key, value in state.items():
        wrapped = key.replace("_orig_mod.", "")  # torch.compile may wrap any module
        name = _WRAPPERS.sub("", wrapped)
        prefix = wrapped.removesuffix(name)
        prefixes |= {prefix} - {"", "module."} | ({"_orig_mod."} if wrapped != key else set())
        if name.startswith("head."):  # of MMPose 1.x
            name = f"keypoint_{name}"
        if name.startswith("data_preprocessor.") or name == "n_averaged":
            continue
        if name.split(".")[-1] in _COUNTERS:
            counters += 1
            continue
        if not _is_plain_tensor(value):
            raise UserError(f"{path}: {key} is not an array of numbers (expected a dense tensor)")
        if name in weights:
            raise UserError(f"{path}: has two arrays for {name}, one of them {key} (expected one network)")
        weights[name] = value.detach()
    notes = [f"without {text}" for text in sorted(prefixes)]
    if any(name.startswith(_FIRST_LAYERS) for name in weights) and not any(n.startswith("backbone.") for n in weights):
        weights = {f"backbone.{name}": value for name, value in weights.items()}
        notes.append("of a backbone alone")
    return weights, notes + ([f"without {counters} counters of operations"] if counters else [])


def _without_averages(weights: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Separate the buffers of mmcv's EMAHook, called like ``ema_backbone_stem_conv1_conv_weight``, from the weights.

    Returns:
        The weights, and their averages under the same names.
    """
    originals = {f"ema_{name.replace('.', '_')}": name for name in weights}
    averaged = {originals[name]: value for name, value in weights.items() if name in originals}
    return {name: value for name, value in weights.items() if name not in originals}, averaged


def _with_averages(weights: dict[str, Tensor], averaged: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    # mmcv averages the parameters only: the statistics of batch normalizations have no average.
    missing = [n for n in weights if n not in averaged and not n.endswith(("mean", "var", "num_batches_tracked"))]
    if missing:
        raise UserError(f"{path}: has no average of {missing[0]} (expected {' or '.join(AVERAGES)}, or ema_* buffers)")
    return weights | averaged


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
