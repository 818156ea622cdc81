"""Read an mmpose config, a dictionary in Python or JSON, as ``RunConfig`` (docs/spec/protocol.md, section 6).

The mapping is strict: every key is mapped, or known to change nothing, or named in the one error that names them all.
"""

import ast
import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from litehrnet.config.mmpose.data import DataPart, read_data
from litehrnet.config.mmpose.helpers import helper_notes
from litehrnet.config.mmpose.model import ModelPart, read_model
from litehrnet.config.mmpose.section import Remarks, Section
from litehrnet.config.mmpose.syntax import PublishedFile, check_extent, interpret
from litehrnet.config.mmpose.training import read_training
from litehrnet.config.overrides import apply_overrides
from litehrnet.config.recipes import parse_python
from litehrnet.config.schema import RunConfig
from litehrnet.errors import UserError
from litehrnet.keypoints.codec import HeatmapCodec
from litehrnet.keypoints.skeletons import read_keypoint_set

# fmt: off
PUBLISHED_KEYS = frozenset([
    "checkpoint_config", "cudnn_benchmark", "data", "dist_params", "evaluation", "find_unused_parameters", "fp16",
    "gpu_ids", "load_from", "log_config", "log_level", "lr_config", "model", "optimizer", "optimizer_config",
    "resume_from", "seed", "total_epochs", "work_dir", "workflow",
])
"""Top-level names that the published tools read; any other is a helper of the file."""

# Helpers of the published files, of which some are referred to by nothing.
_USUAL_HELPERS = frozenset([
    "channel_cfg", "data_cfg", "val_data_cfg", "train_pipeline", "val_pipeline", "test_pipeline", "data_root",
    "dataset_type",
])
# fmt: on


def is_published(text: str, path: Path) -> bool:
    """Whether a configuration is in the published style: JSON, or Python that assigns ``model`` or ``_base_``.

    Raises:
        UserError: ``text`` is not Python.
    """
    if path.suffix == ".json":
        return True
    assigned = {
        target.id
        for statement in parse_python(text, path).body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }
    return bool(assigned & {"model", "_base_"})


def read_published(text: str, path: Path, overrides: Mapping[str, Any]) -> tuple[RunConfig, tuple[str, ...]]:
    """Read a published configuration.

    Args:
        text: The file's content.
        path: The file.
        overrides: New values by published key, such as ``{"optimizer.lr": 1e-3}``. Those of helper names are set
            where the file assigns them.

    Returns:
        The configuration, and sentences about what was corrected or understood in another way than it stands there.

    Raises:
        UserError: The file or an override is not understood, unknown, or asks for what cannot be done.
    """
    file = _evaluate(text, path, {})
    if "_base_" in file.values:
        raise UserError(f"{path}: builds on other files by _base_ (expected a file that says everything itself)")
    _check_overrides(file, overrides, path)
    helpers = {key: value for key, value in overrides.items() if key.split(".")[0] not in PUBLISHED_KEYS}
    notes = helper_notes(
        file.values, helpers, PUBLISHED_KEYS, lambda some: _evaluate(text, path, some).values, str(path)
    )
    others = {key: value for key, value in overrides.items() if key not in helpers}
    values = apply_overrides(_evaluate(text, path, helpers).values, others)
    remarks = Remarks(notes=notes)
    config = _build(values, file.helpers | _USUAL_HELPERS, path, remarks)
    if config is None:
        raise UserError(f"{path}: {'; '.join(remarks.problems)}")
    return config, tuple(remarks.notes)


def _evaluate(text: str, path: Path, overrides: Mapping[str, Any]) -> PublishedFile:
    if path.suffix != ".json":
        return interpret(text, path, overrides)
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise UserError(f"{path}: broken JSON ({reason})") from error
    if not isinstance(values, dict):
        raise UserError(f"{path}: is no configuration (expected a JSON object)")
    check_extent(values, path)
    # Nothing in JSON is made from anything else.
    return PublishedFile(apply_overrides(values, overrides), frozenset())


def _check_overrides(file: PublishedFile, overrides: Mapping[str, Any], path: Path) -> None:
    known = sorted(PUBLISHED_KEYS | set(file.values))
    for key in overrides:
        first = key.split(".")[0]
        if first not in known:
            near = difflib.get_close_matches(first, known, n=1)
            hint = f"did you mean {near[0]}?" if near else "expected a key of the file, such as optimizer.lr"
            raise UserError(f"{path}: unknown key {key} ({hint})")


def _build(values: dict[str, Any], helpers: frozenset[str], path: Path, remarks: Remarks) -> RunConfig | None:
    """The configuration, or None where there are problems."""
    file = Section(values, "", remarks)
    file.unused(*helpers - PUBLISHED_KEYS)
    model = read_model(file.section("model"))
    data = read_data(file.section("data"), model.flip)
    training = read_training(
        file,
        data.train.format,
        batch_size=data.batch_size,
        workers=data.workers,
        loss=model.loss,
        sync_batch_norm=model.sync_batch_norm,
    )
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
            f"{data.encoding} (expected one way for both)"
        )
    udp = model.decoding == "udp"
    remarks.problems += [
        f"{key} is {value} (expected {udp}, as model.test_cfg.use_udp says)"
        for key, value in data.udp.items()
        if value != udp
    ]
    try:
        return HeatmapCodec(model.decoding, data.sigma, model.blur_kernel, model.flip_shift)
    except UserError as error:
        remarks.problems.append(str(error))
        return HeatmapCodec()


def _keypoints(model: ModelPart, data: DataPart, remarks: Remarks) -> str:
    """The keypoint set: COCO's, MPII's, or that of the training annotations."""
    count = model.num_keypoints
    remarks.problems += [
        f"{key} is {number} (expected {count}, as model.keypoint_head.out_channels says)"
        for key, number in data.num_joints.items()
        if number != count
    ]
    if data.train.format == "mpii":
        if count != 16:
            remarks.problems.append(f"model.keypoint_head.out_channels is {count} (expected MPII's 16)")
        return "mpii"
    if count == 17:
        return "coco"
    # Where the file is missing, that is said by whoever needs it.
    annotations = Path(data.train.annotations)
    if annotations.is_file() and len(read_keypoint_set(annotations)) != count:
        remarks.problems.append(
            f"model.keypoint_head.out_channels is {count}, but {annotations} has "
            f"{len(read_keypoint_set(annotations))} keypoints"
        )
    return data.train.annotations
