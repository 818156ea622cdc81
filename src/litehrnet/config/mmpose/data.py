"""Data of an mmpose config: its ``data`` and the pipelines (docs/spec/protocol.md, section 6)."""

from dataclasses import dataclass

from litehrnet.config.mmpose.model import GAUSSIAN_TARGETS, CodecKind
from litehrnet.config.mmpose.section import Section
from litehrnet.data.formats import find_format
from litehrnet.data.settings import AugmentationConfig, DataConfig, EvalConfig
from litehrnet.errors import UserError
from litehrnet.keypoints.crop import IMAGENET_MEAN, IMAGENET_STD
from litehrnet.variants import check_input_size

_FORMATS = {"TopDownCocoDataset": "coco", "TopDownMpiiDataset": "mpii"}

_BEFORE = ("TopDownRandomFlip", "TopDownHalfBodyTransform", "TopDownGetRandomScaleRotation")
TRAIN_STEPS = (
    "LoadImageFromFile",
    *_BEFORE,
    "TopDownAffine",
    "ToTensor",
    "NormalizeTensor",
    "TopDownGenerateTarget",
    "Collect",
)
TEST_STEPS = ("LoadImageFromFile", "TopDownAffine", "ToTensor", "NormalizeTensor", "Collect")


@dataclass(frozen=True)
class DataPart:
    """Settings in ``data``.

    Attributes:
        train: Data to train on.
        validation: Data to evaluate on while training.
        test: Data to test on.
        augmentation: Variation of the training samples.
        input_size_wh: (width, height) of the crops.
        num_joints: Numbers of keypoints in the file, by dotted key.
        udp: Settings of UDP in the file, by dotted key.
        encoding: Encoding of the heatmaps.
        sigma: Standard deviation of the targets in heatmap cells.
        batch_size: Samples per process.
        workers: Data loading processes per process.
    """

    train: DataConfig
    validation: EvalConfig | None
    test: EvalConfig | None
    augmentation: AugmentationConfig
    input_size_wh: tuple[int, int]
    num_joints: dict[str, int]
    udp: dict[str, bool]
    encoding: CodecKind
    sigma: float
    batch_size: int
    workers: int


@dataclass(frozen=True)
class _Dataset:
    """One of ``train``, ``val`` and ``test``; ``data_cfg`` and ``steps`` (by type) are read later."""

    section: Section
    format: str
    annotations: str
    images: str
    data_cfg: Section
    steps: dict[str, Section]
    input_size_wh: tuple[int, int]


def read_data(data: Section, flip: bool) -> DataPart:
    """Read ``data``; unsupported settings become problems.

    Args:
        data: The section.
        flip: Whether ``model.test_cfg`` enables the flip test.
    """
    train = _read_dataset(data.section("train"), TRAIN_STEPS)
    tests = {key: _read_dataset(data.section(key), TEST_STEPS) for key in ("val", "test") if data.has(key)}
    for key, each in tests.items():
        if each.format != train.format:
            data.problem(f"{key}.type", "differs from that of data.train (expected the same)")
        if each.input_size_wh != train.input_size_wh:
            wanted = list(train.input_size_wh)
            each.data_cfg.problem("image_size", f"is {list(each.input_size_wh)} (expected {wanted}, as in data.train)")
    test_configs = {key: _read_test(each, flip) for key, each in tests.items()}
    # Training does not use boxes and thresholds.
    train.data_cfg.unused("use_gt_bbox", "bbox_file", "soft_nms", "use_nms", "oks_thr", "vis_thr")
    train.data_cfg.unused("det_bbox_thr", "image_thr")
    encoding, sigma = _read_target(train.steps.get("TopDownGenerateTarget", _nothing(train.section)))
    loader = _read_loader(data)
    everything = (train, *tests.values())
    return DataPart(
        train=DataConfig(train.format, train.annotations, train.images),
        validation=test_configs.get("val"),
        test=test_configs.get("test"),
        augmentation=_read_augmentation(train.steps),
        input_size_wh=train.input_size_wh,
        num_joints={key: count for each in everything for key, count in _joints(each.data_cfg).items()},
        udp={
            step.path("use_udp"): step.flag("use_udp", False)
            for each in everything
            if (step := each.steps.get("TopDownAffine")) is not None
        },
        encoding=encoding,
        sigma=sigma,
        batch_size=(loader if loader.has("samples_per_gpu") else data).whole("samples_per_gpu", least=1),
        workers=(loader if loader.has("workers_per_gpu") else data).whole("workers_per_gpu"),
    )


def _nothing(like: Section) -> Section:
    """Return a section in which every key has its default."""
    return Section({}, like.name, like.remarks)


def _read_dataset(section: Section, steps: tuple[str, ...]) -> _Dataset:
    kind = section.one_of("type", tuple(_FORMATS))
    section.unused("test_mode")
    data_cfg = section.section("data_cfg")
    # Read but never used, or not read at all.
    data_cfg.unused("nms_thr", "bbox_thr", "dataset_channel", "inference_channel")
    return _Dataset(
        section=section,
        format=_FORMATS[kind],
        annotations=section.text("ann_file"),
        images=_folder(section.text("img_prefix")),
        data_cfg=data_cfg,
        steps=_read_steps(section, steps),
        input_size_wh=_read_size(data_cfg),
    )


def _folder(prefix: str) -> str:
    """Return a prefix of file names as a folder, without a trailing slash."""
    return prefix.rstrip("/") or prefix[:1] or "."


def _read_size(data_cfg: Section) -> tuple[int, int]:
    width, height = data_cfg.wholes("image_size", 2)
    heatmap_width, heatmap_height = data_cfg.wholes("heatmap_size", 2)
    if not data_cfg.is_dict or not all(key in data_cfg.values for key in ("image_size", "heatmap_size")):
        return width, height
    if (4 * heatmap_width, 4 * heatmap_height) != (width, height):
        data_cfg.problem(
            "heatmap_size",
            f"is [{heatmap_width}, {heatmap_height}] (expected a quarter of image_size, [{width}, {height}])",
        )
    try:
        check_input_size(width, height)
    except UserError as error:
        data_cfg.problem("image_size", f"is not possible: {error}")
    return width, height


def _joints(data_cfg: Section) -> dict[str, int]:
    counts = {data_cfg.path("num_joints"): data_cfg.whole("num_joints", least=1)}
    if data_cfg.has("num_output_channels"):
        counts[data_cfg.path("num_output_channels")] = data_cfg.whole("num_output_channels", least=1)
    return counts if data_cfg.is_dict else {}


def _read_test(dataset: _Dataset, flip: bool) -> EvalConfig:
    cfg = dataset.data_cfg
    plain = EvalConfig(dataset.format, dataset.annotations, dataset.images, flip=flip)
    if not find_format(dataset.format).takes_boxes:
        cfg.unused("use_gt_bbox", "bbox_file", "soft_nms", "use_nms", "oks_thr", "vis_thr", "det_bbox_thr", "image_thr")
        return plain
    boxes = cfg.optional_text("bbox_file")
    if cfg.flag("use_gt_bbox"):
        boxes = None
    elif boxes is None and cfg.is_dict:
        cfg.problem("bbox_file", "is missing (expected a file of boxes, or use_gt_bbox=True)")
    soft, nms = cfg.flag("soft_nms", False), cfg.flag("use_nms", True)
    score = cfg.number("det_bbox_thr", plain.min_box_score)
    return EvalConfig(
        dataset.format,
        dataset.annotations,
        dataset.images,
        boxes=boxes,
        min_box_score=cfg.number("image_thr", score),  # as in mmpose, the older name takes precedence
        flip=flip,
        nms="none" if not nms else "soft" if soft else "oks",
        oks_threshold=cfg.number("oks_thr", plain.oks_threshold),
        visibility_threshold=cfg.number("vis_thr", plain.visibility_threshold),
    )


def _read_loader(data: Section) -> Section:
    """Read ``train_dataloader``, which takes precedence over the settings in ``data`` for all loaders."""
    data.unused("samples_per_gpu", "workers_per_gpu", "val_dataloader", "test_dataloader")
    loader = data.section("train_dataloader", {})
    loader.fixed(shuffle=True, drop_last=True)
    loader.unused("pin_memory", "persistent_workers")
    return loader


def _read_steps(section: Section, known: tuple[str, ...]) -> dict[str, Section]:
    """Read the steps of ``pipeline`` by type, and check their order and the keys that all steps share."""
    steps = section.sections("pipeline")
    types = [step.text("type") for step in steps]
    foreign = [index for index, kind in enumerate(types) if kind not in known]
    for index in foreign:
        section.problem(f"pipeline.{index}.type", f"is {types[index]!r} (expected one of {', '.join(known)})")
        steps[index].unused(*steps[index].values)
    wanted = [kind for kind in known if kind in types or kind not in _BEFORE]
    if steps and not foreign and types != wanted:
        section.problem("pipeline", f"has the steps {', '.join(types)} (expected {', '.join(wanted)}, in this order)")
    by_type = {kind: step for kind, step in zip(types, steps, strict=True) if kind in known}
    _check_fixed_steps(by_type)
    return by_type


def _check_fixed_steps(steps: dict[str, Section]) -> None:
    if load := steps.get("LoadImageFromFile"):
        load.fixed(to_float32=False, color_type="color", channel_order="rgb")
    if normalize := steps.get("NormalizeTensor"):
        normalize.given(mean=IMAGENET_MEAN, std=IMAGENET_STD)
    if collect := steps.get("Collect"):
        collect.unused("keys", "meta_keys", "meta_name")


def _read_augmentation(steps: dict[str, Section]) -> AugmentationConfig:
    """Read the augmentation, with mmpose's defaults for missing keys (docs/spec/protocol.md, sections 2.1 to 2.3)."""
    flip, half, turn = (steps.get(kind) for kind in _BEFORE)
    return AugmentationConfig(
        flip_probability=flip.number("flip_prob", 0.5) if flip else 0.0,
        half_body_probability=half.number("prob_half_body", 0.3) if half else 0.0,
        half_body_above=half.whole("num_joints_half_body", 8) if half else AugmentationConfig.half_body_above,
        rotation_deg=turn.number("rot_factor", 40) if turn else 0.0,
        rotation_probability=turn.number("rot_prob", 0.6) if turn else 0.0,
        scale=turn.number("scale_factor", 0.5) if turn else 0.0,
    )


def _read_target(step: Section) -> tuple[CodecKind, float]:
    encoding = step.one_of("encoding", ("MSRA", "UDP"), "MSRA")
    step.one_of("target_type", GAUSSIAN_TARGETS, GAUSSIAN_TARGETS[0])
    step.unused("kernel", "valid_radius_factor")  # belongs to other kinds of target
    unbiased = step.flag("unbiased_encoding", False)
    sigma = step.number("sigma", 2)
    return "udp" if encoding == "UDP" else "dark" if unbiased else "default", sigma
