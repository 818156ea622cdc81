"""Read an mmpose config, a dictionary in Python or JSON, as ``RunConfig`` (docs/spec/protocol.md, section 6).

The mapping is strict: every key is mapped, known to have no effect, or named in one error with all such keys.
"""

import ast
import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from litehrnet.config.mmpose.data import DataPart, read_data
from litehrnet.config.mmpose.helpers import helper_notes
from litehrnet.config.mmpose.model import ModelPart, read_model
from litehrnet.config.mmpose.section import Remarks, Section
from litehrnet.config.mmpose.syntax import MmposeFile, check_extent, interpret
from litehrnet.config.mmpose.training import read_training
from litehrnet.config.overrides import apply_overrides
from litehrnet.config.schema import RunConfig
from litehrnet.data.formats import find_format
from litehrnet.errors import UserError
from litehrnet.keypoints.codec import HeatmapCodec
from litehrnet.keypoints.skeletons import read_keypoint_set

# fmt: off
MMPOSE_KEYS = frozenset([
    "checkpoint_config", "cudnn_benchmark", "data", "dist_params", "evaluation", "find_unused_parameters", "fp16",
    "gpu_ids", "load_from", "log_config", "log_level", "lr_config", "model", "optimizer", "optimizer_config",
    "resume_from", "seed", "total_epochs", "work_dir", "workflow",
])
"""Top-level names that mmpose reads; other names are helpers of the file."""

MMPOSE_1_KEYS = ("train_dataloader", "test_dataloader", "optim_wrapper", "train_cfg", "default_hooks")
"""Top-level names of MMPose 1.x."""

# Helpers in mmpose's own configs; some of them are unused.
_USUAL_HELPERS = frozenset([
    "channel_cfg", "data_cfg", "val_data_cfg", "train_pipeline", "val_pipeline", "test_pipeline", "data_root",
    "dataset_type",
])
# fmt: on


@dataclass(frozen=True)
class MmposeSource:
    """A parsed mmpose config.

    Attributes:
        path: The file, for its name and for messages.
        content: Syntax tree of a Python file, or the object in a JSON file.
    """

    path: Path
    content: ast.Module | dict[str, Any]


def is_mmpose_config(tree: ast.Module) -> bool:
    """Return whether Python is an mmpose config: it assigns ``model`` or ``_base_``."""
    assigned = {
        target.id
        for statement in tree.body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }
    return bool(assigned & {"model", "_base_"})


def parse_json(text: str, path: Path) -> dict[str, Any]:
    """Parse an mmpose config in JSON.

    Raises:
        UserError: ``text`` is not a JSON object, or too large.
    """
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise UserError(f"{path}: broken JSON ({reason})") from error
    if not isinstance(values, dict):
        raise UserError(f"{path}: not a configuration (expected a JSON object)")
    check_extent(values, path)
    return values


def make_config(source: MmposeSource, overrides: Mapping[str, Any]) -> tuple[RunConfig, tuple[str, ...]]:
    """Make the configuration of an mmpose config.

    Args:
        source: The parsed file.
        overrides: New values by the keys of the file, such as ``{"optimizer.lr": 1e-3}``. Those of helpers take effect
            where the file assigns them.

    Returns:
        The configuration, and notes about settings that are corrected or interpreted differently.

    Raises:
        UserError: The file or an override is invalid, unknown or not supported.
    """
    path = source.path
    file = _evaluate(source, {})
    if keys := [key for key in MMPOSE_1_KEYS if key in file.values]:
        raise UserError(f"{path}: is a config of MMPose 1.x, which has {keys[0]} (expected one of mmpose 0.x)")
    if "_base_" in file.values:
        raise UserError(f"{path}: uses other files by _base_ (expected a complete file)")
    _check_overrides(file, overrides, path)
    helpers = {key: value for key, value in overrides.items() if key.split(".")[0] not in MMPOSE_KEYS}
    notes = helper_notes(file.values, helpers, MMPOSE_KEYS, lambda some: _evaluate(source, some).values, str(path))
    others = {key: value for key, value in overrides.items() if key not in helpers}
    values = apply_overrides(_evaluate(source, helpers).values, others)
    remarks = Remarks(notes=notes)
    config = _build(values, file.helpers | _USUAL_HELPERS, path, remarks)
    if config is None:
        raise UserError(f"{path}: {'; '.join(remarks.problems)}")
    return config, tuple(remarks.notes)


def _evaluate(source: MmposeSource, overrides: Mapping[str, Any]) -> MmposeFile:
    if isinstance(source.content, ast.Module):
        return interpret(source.content, source.path, overrides)
    # In JSON no value is derived from another.
    return MmposeFile(apply_overrides(source.content, overrides), frozenset())


def _check_overrides(file: MmposeFile, overrides: Mapping[str, Any], path: Path) -> None:
    known = sorted(MMPOSE_KEYS | set(file.values))
    for key in overrides:
        first = key.split(".")[0]
        if first not in known:
            near = difflib.get_close_matches(first, known, n=1)
            hint = f"did you mean {near[0]}?" if near else "expected a key of the file, such as optimizer.lr"
            raise UserError(f"{path}: unknown key {key} ({hint})")


def _build(values: dict[str, Any], helpers: frozenset[str], path: Path, remarks: Remarks) -> RunConfig | None:
    """Make the configuration; None if there are problems."""
    file = Section(values, "", remarks)
    file.unused(*helpers - MMPOSE_KEYS)
    model = read_model(file.section("model"))
    data = read_data(file.section("data"), model.flip)
    training = read_training(file, model, data)
    work_dir, load_from, resume_from = (file.optional_text(key) for key in ("work_dir", "load_from", "resume_from"))
    file.close()
    codec = _codec(model, data, remarks)
    keypoints = _keypoints(model, data, remarks)
    if remarks.problems:
        return None
    return RunConfig(
        name=path.stem,
        variant=model.variant,
        keypoints=keypoints,
        input_size_wh=data.input_size_wh,
        codec=codec,
        train=(data.train,),
        augmentation=data.augmentation,
        training=training,
        validation=data.validation,
        test=data.test,
        work_dir=work_dir,
        load_from=load_from,
        resume_from=resume_from,
    )


def _codec(model: ModelPart, data: DataPart, remarks: Remarks) -> HeatmapCodec:
    if model.decoding != data.encoding:
        remarks.problems.append(
            f"model.test_cfg decodes heatmaps as {model.decoding} and TopDownGenerateTarget encodes them as "
            f"{data.encoding} (expected the same for both)"
        )
    udp = model.decoding == "udp"
    remarks.problems += [
        f"{key} is {value} (expected {udp}, as in model.test_cfg.use_udp)"
        for key, value in data.udp.items()
        if value != udp
    ]
    try:
        return HeatmapCodec(model.decoding, data.sigma, model.blur_kernel, model.flip_shift)
    except UserError as error:
        remarks.problems.append(str(error))
        return HeatmapCodec()


def _keypoints(model: ModelPart, data: DataPart, remarks: Remarks) -> str:
    """Choose the keypoint set: COCO's, MPII's, or that of the training annotations."""
    count = model.num_keypoints
    remarks.problems += [
        f"{key} is {number} (expected {count}, as in model.keypoint_head.out_channels)"
        for key, number in data.num_joints.items()
        if number != count
    ]
    form = find_format(data.train.format)
    if form.keypoint_count is not None:
        if count != form.keypoint_count:
            remarks.problems.append(
                f"model.keypoint_head.out_channels is {count} (expected {form.keypoint_count}, as {form.name} has)"
            )
        return form.name
    if count == 17:
        return "coco"
    # A missing file is reported when it is read.
    annotations = Path(data.train.annotations)
    if annotations.is_file() and len(read_keypoint_set(annotations)) != count:
        remarks.problems.append(
            f"model.keypoint_head.out_channels is {count}, but {annotations} has "
            f"{len(read_keypoint_set(annotations))} keypoints"
        )
    return data.train.annotations
