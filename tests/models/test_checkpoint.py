"""Checkpoints of others: what is read, and that nothing in them is run."""

import argparse
import collections
import io
import os
import pickle
import sys
import types
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from litehrnet.errors import UserError
from litehrnet.models.checkpoint import read_checkpoint

STATE = {"a.weight": torch.arange(12.0).reshape(3, 4), "a.bias": torch.tensor([0.5, -1.0, 2.0])}


def _saved(content: Any, *, archive: bool = True) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, _use_new_zipfile_serialization=archive)
    return stream.getvalue()


def _read(tmp_path: Path, content: bytes) -> dict[str, Tensor]:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    return read_checkpoint(path)


def _equal(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> bool:
    return list(ours) == list(theirs) and all(torch.equal(ours[key], theirs[key]) for key in theirs)


both_formats = pytest.mark.parametrize("archive", [True, False], ids=["archive", "old"])


@both_formats
@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: collections.OrderedDict(state),
        lambda state: {"state_dict": state, "meta": {"epoch": 210, "time": "Thu"}, "optimizer": {"state": {}}},
        lambda state: {"state_dict": {f"module.{key}": value for key, value in state.items()}},
        lambda state: {"state_dict": {key: torch.nn.Parameter(value) for key, value in state.items()}},
    ],
    ids=["bare", "ordered", "published", "module prefix", "parameters"],
)
def test_layouts_that_are_read(tmp_path: Path, archive: bool, wrap: Callable[[Any], Any]) -> None:
    assert _equal(_read(tmp_path, _saved(wrap(dict(STATE)), archive=archive)), STATE)


def _prefixed(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in state.items()}


LIGHTNING = {"epoch": 1, "pytorch-lightning_version": "2.4.0", "callbacks": {}, "hyper_parameters": {"lr": 0.1}}


@pytest.mark.parametrize(
    ("content", "note"),
    [
        ({"state_dict": STATE}, None),
        (_prefixed("module.", STATE), None),
        (_prefixed("_orig_mod.", STATE), "without _orig_mod."),
        (_prefixed("module._orig_mod.", STATE), "without _orig_mod."),
        (_prefixed("module.module.", STATE), "without module.module."),
        ({"a._orig_mod.weight": STATE["a.weight"], "a.bias": STATE["a.bias"]}, "without _orig_mod."),
        (LIGHTNING | {"state_dict": _prefixed("model.", STATE)}, "without model."),
        (LIGHTNING | {"state_dict": _prefixed("model._orig_mod.", STATE)}, "without _orig_mod., without model."),
        ({"model": STATE, "optimizer": {}}, "from model"),
        ({"model": _prefixed("module.", STATE)}, "from model"),
        ({"model_state_dict": STATE, "model": "lite_hrnet_18"}, "from model_state_dict"),
        ({"state_dict_ema": STATE, "model": "lite_hrnet_18"}, "from state_dict_ema"),
        (_prefixed("module.", STATE) | {"n_averaged": torch.tensor(7)}, None),
        (
            STATE | {"total_ops": torch.zeros(1), "a.total_ops": torch.zeros(1), "a.total_params": torch.zeros(1)},
            "without 3 counters of operations",
        ),
        (
            {"state_dict": STATE, "state_dict_ema": {name: value + 1 for name, value in STATE.items()}},
            "not their average, which litehrnet convert --average reads",
        ),
        (
            STATE | {"ema_a_weight": STATE["a.weight"] + 1, "ema_a_bias": STATE["a.bias"] + 1},
            "not their average, which litehrnet convert --average reads",
        ),
    ],
)
def test_layouts_of_training_scripts_are_read_with_one_line(
    tmp_path: Path, content: dict[str, Any], note: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    assert _equal(_read(tmp_path, _saved(content)), STATE)
    said = [] if note is None else [f"note: {tmp_path / 'weights.pth'}: weights {note}"]
    assert [record.getMessage() for record in caplog.records] == said


@pytest.mark.parametrize(
    "content",
    [
        {"state_dict": {"a.weight": torch.zeros(3, 4)}, "state_dict_ema": _prefixed("module.", STATE)},
        {"model": {"a.weight": torch.zeros(3, 4)}, "model_ema": STATE},
        {"state_dict": {name: value * 0 for name, value in STATE.items()}
         | {f"ema_{name.replace('.', '_')}": value for name, value in STATE.items()}},
    ],
    ids=["state_dict_ema", "model_ema", "buffers of mmcv"],
)  # fmt: skip
def test_average_is_read_on_request(tmp_path: Path, content: dict[str, Any]) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(_saved(content))
    assert _equal(read_checkpoint(path, average=True), STATE)


def test_an_average_of_a_part_and_none_at_all_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    for content, name in ((STATE, "a.weight"), (STATE | {"ema_a_weight": STATE["a.weight"]}, "a.bias")):
        path.write_bytes(_saved(content))
        with pytest.raises(UserError, match=f"has no average of {name} "):
            read_checkpoint(path, average=True)


def test_a_backbone_alone_gets_the_published_names(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    read = _read(tmp_path, _saved({"state_dict": {"stem.conv1.conv.weight": torch.ones(2)}}))
    assert list(read) == ["backbone.stem.conv1.conv.weight"]
    assert caplog.messages == [f"note: {tmp_path / 'weights.pth'}: weights of a backbone alone"]


def test_two_networks_in_one_state_are_refused(tmp_path: Path) -> None:
    both = _prefixed("model.", STATE) | _prefixed("net.", STATE)
    with pytest.raises(UserError, match=r"has two arrays for a\.weight, one of them net\.a\.weight \(expected one"):
        _read(tmp_path, _saved(both))
    teacher = STATE | _prefixed("teacher.", STATE)
    assert "teacher.a.weight" in _read(tmp_path, _saved(teacher))  # unknown to the network, which refuses it


LIGHTNING_MODULE = "lightning.pytorch.utilities.parsing"


class AttributeDict(dict[str, Any]):
    """Laid out as Lightning's hyperparameters."""


@both_formats
def test_arguments_of_a_script_are_left_empty(tmp_path: Path, archive: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    packages = [".".join(LIGHTNING_MODULE.split(".")[:count]) for count in range(1, 5)]
    for name in packages:
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setattr(sys.modules[LIGHTNING_MODULE], "AttributeDict", AttributeDict, raising=False)
    monkeypatch.setattr(AttributeDict, "__module__", LIGHTNING_MODULE)
    content = {
        "state_dict": _prefixed("model.", STATE),
        "hyper_parameters": AttributeDict(lr=0.1, betas=(0.9, 0.99)),
        "args": argparse.Namespace(out=Path("runs/1"), epochs=5),
    }
    saved = _saved(content, archive=archive)
    for name in packages:
        monkeypatch.delitem(sys.modules, name)  # reading must not need Lightning
    assert _equal(_read(tmp_path, saved), STATE)


def test_names_of_mmpose_1_become_the_published_ones(tmp_path: Path) -> None:
    state = {"head.final_layer.bias": torch.zeros(17), "data_preprocessor.mean": torch.zeros(3)}
    assert list(_read(tmp_path, _saved({"state_dict": state}))) == ["keypoint_head.final_layer.bias"]


class HistoryBuffer:
    """Laid out as MMEngine's: two arrays of the training history and their largest length."""

    def __init__(self) -> None:
        self.max_length = 1000000
        self._log_history = np.array([0.5, 0.25])
        self._count_history = np.array([1, 1])
        # Older releases pickle their bound statistics, which the pickle loads by getattr.
        self._statistics_methods = {"min": HistoryBuffer.min}

    def min(self) -> float:
        return float(self._log_history.min())


@pytest.fixture
def mmengine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The class under the name that MMEngine pickles it by."""
    names = ["mmengine", "mmengine.logging", "mmengine.logging.history_buffer"]
    for name in names:
        sys.modules[name] = types.ModuleType(name)
    monkeypatch.setattr(HistoryBuffer, "__module__", names[-1])
    monkeypatch.setattr(HistoryBuffer.min, "__module__", names[-1])
    sys.modules[names[-1]].HistoryBuffer = HistoryBuffer  # type: ignore[attr-defined]
    yield
    for name in names:
        del sys.modules[name]


@both_formats
@pytest.mark.usefixtures("mmengine")
def test_file_laid_out_like_mmengines_is_read(tmp_path: Path, archive: bool) -> None:
    content = {
        "meta": {
            "cfg": "model = dict()",
            "seed": 1,
            "epoch": 210,
            "iter": 1000,
            "dataset_meta": {"num_keypoints": 17, "sigmas": np.full(17, 0.05), "flip_indices": [0, 2, 1]},
        },
        "message_hub": {
            "log_scalars": collections.OrderedDict({"train/loss": HistoryBuffer()}),
            "runtime_info": collections.OrderedDict({"iter": 5, "loss": np.float64(0.25)}),
            "resumed_keys": {},
        },
        "optimizer": {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 1e-3, "betas": (0.9, 0.999)}]},
        "param_schedulers": [{"last_step": 4}],
        "state_dict": collections.OrderedDict(STATE),
    }
    saved = _saved(content, archive=archive)
    for name in [name for name in sys.modules if name.startswith("mmengine")]:
        sys.modules[name] = types.ModuleType(name)  # empty: reading must not need MMEngine
    assert _equal(_read(tmp_path, saved), STATE)


class Calls:
    """Pickles as a call of ``function`` on ``arguments`` when it is read."""

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.function, self.arguments


@both_formats
@pytest.mark.parametrize("function", [os.system, os.mkdir, eval, exec, __import__, print, open, torch.load])
def test_calls_in_a_pickle_are_named_and_not_made(tmp_path: Path, archive: bool, function: Callable[..., Any]) -> None:
    victim = tmp_path / "victim"
    call = Calls(function, (f"touch {victim}",) if function is os.system else (str(victim),))
    with pytest.raises(UserError, match=r"weights\.pth: contains .*(could run code)") as error:
        _read(tmp_path, _saved({"state_dict": STATE, "more": call}, archive=archive))
    assert function.__name__ in str(error.value)
    assert not victim.exists()


@both_formats
def test_stand_in_for_getattr_gives_nothing(tmp_path: Path, archive: bool) -> None:
    """MMEngine's files call getattr; a class that ignores its arguments replaces it."""
    fetched = Calls(getattr, ("some string", "upper"))
    state = dict(STATE) | {"fetched": fetched}
    with pytest.raises(UserError, match=r"fetched is not an array of numbers"):
        _read(tmp_path, _saved(state, archive=archive))


def test_bare_pickles_are_no_checkpoints(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(UserError, match=r"weights\.pth: "):
            _read(tmp_path, pickle.dumps(Calls(os.mkdir, (str(victim),)), protocol))
    assert not victim.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a PyTorch checkpoint"),
        (b"these are no weights", "not a PyTorch checkpoint"),
        (b"PK\x05\x06" + bytes(18), "damaged or cut short"),
        (b"PK\x03\x04 and no more", "damaged or cut short"),
        (b"\x80\x02.", "damaged or cut short"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(UserError, match=message):
        _read(tmp_path, content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.ones(1)], "has no weights"),
        (None, "has no weights"),
        ({}, "has no weights"),
        ({1: torch.ones(1)}, "has no weights"),
        ({"state_dict": [1, 2]}, "has no weights"),
        ({"a": 3}, "a is not an array of numbers"),
        ({"a": torch.ones(2, 2).to_sparse()}, "a is not an array of numbers"),
        ({"a": torch.ones(2, device="meta")}, "a is not an array of numbers"),
    ],
)
def test_contents_that_are_no_weights_are_refused(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        _read(tmp_path, _saved(content))


def test_archive_of_another_kind_is_refused(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("folder/readme.txt", "hello")
    with pytest.raises(UserError, match="damaged or cut short"):
        _read(tmp_path, stream.getvalue())


@both_formats
def test_every_truncation_is_refused(tmp_path: Path, archive: bool) -> None:
    whole = _saved(STATE, archive=archive)
    for length in range(len(whole)):
        with pytest.raises(UserError, match=r"weights\.pth: "):
            _read(tmp_path, whole[:length])


@both_formats
def test_bit_flips_are_refused_or_harmless(tmp_path: Path, archive: bool) -> None:
    """The older format has no checksums: there, a flip inside a name or a number cannot be noticed."""
    whole = _saved(STATE, archive=archive)
    rng = np.random.default_rng(0)
    outcomes = collections.Counter[str]()
    for _ in range(2000):
        flipped = bytearray(whole)
        flipped[rng.integers(len(whole))] ^= 1 << int(rng.integers(8))
        try:
            weights = _read(tmp_path, bytes(flipped))
        except UserError:
            outcomes["refused"] += 1
        else:
            outcomes["same" if _equal(weights, STATE) else "other"] += 1
    assert outcomes["refused"] > 500
    assert not archive or outcomes["other"] == 0


def test_claim_of_a_huge_tensor_is_refused_without_taking_the_memory(tmp_path: Path) -> None:
    whole = _saved({"a": torch.zeros(16)}, archive=False)
    # The pickle contains the sizes of the tensor and its storage as 4-byte integers.
    claimed = whole.replace(b"K\x10", b"J\xff\xff\xff\x7f")
    assert claimed != whole
    with pytest.raises(UserError, match="damaged or cut short"):
        _read(tmp_path, claimed)
