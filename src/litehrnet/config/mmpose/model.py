"""Network, loss and codec of an mmpose config: its ``model`` (docs/spec/protocol.md, section 6)."""

from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Literal

from litehrnet.config.mmpose.section import Section, same, short, tupled
from litehrnet.config.schema import LossConfig
from litehrnet.variants import CROSS_RESOLUTION_REDUCTION, LITE, NAIVE, STEM_CHANNELS, VARIANTS, Variant

CodecKind = Literal["default", "dark", "udp"]

GAUSSIAN_TARGETS = ("GaussianHeatMap", "GaussianHeatmap")
"""Two spellings of the only supported kind of target."""


@dataclass(frozen=True)
class ModelPart:
    """Settings in ``model``.

    Attributes:
        variant: Name in ``litehrnet.variants``.
        num_keypoints: Number of heatmaps.
        loss: Training loss.
        sync_batch_norm: Compute batch statistics over all processes.
        decoding: Decoding of the heatmaps.
        blur_kernel: Size of the blur kernel of the decoding.
        flip: Average with the mirrored crop.
        flip_shift: Move the mirrored heatmaps by one cell.
    """

    variant: str
    num_keypoints: int
    loss: LossConfig
    sync_batch_norm: bool
    decoding: CodecKind
    blur_kernel: int
    flip: bool
    flip_shift: bool


def read_model(model: Section) -> ModelPart:
    """Read ``model``; unsupported settings become problems."""
    model.given(type="TopDown")
    model.fixed(pretrained=None)
    model.unused("train_cfg")
    backbone = model.section("backbone")
    variant = _read_backbone(backbone)
    head = model.section("keypoint_head")
    num_keypoints = _read_head(head, variant)
    loss = head.section("loss_keypoint") if head.has("loss_keypoint") else model.section("loss_pose")
    model.unused("loss_pose")
    test = model.section("test_cfg", {})
    return ModelPart(
        variant=variant.name,
        num_keypoints=num_keypoints,
        loss=_read_loss(loss),
        sync_batch_norm=_read_norm(backbone.section("norm_cfg", {"type": "BN"})),
        decoding=_read_decoding(test),
        blur_kernel=test.whole("modulate_kernel", 11, least=1),
        flip=test.flag("flip_test", True),
        flip_shift=test.flag("shift_heatmap", False),
    )


def _read_backbone(backbone: Section) -> Variant:
    backbone.given(type="LiteHRNet")
    backbone.fixed(in_channels=3, conv_cfg=None, norm_eval=False)
    # The first trades memory for time; the second belongs to blocks that this network does not have.
    backbone.unused("with_cp", "zero_init_residual")
    extra = backbone.section("extra")
    extra.section("stem").given(stem_channels=STEM_CHANNELS, out_channels=STEM_CHANNELS, expand_ratio=1)
    extra.given(num_stages=3, with_head=True)
    stages = extra.section("stages_spec")
    stages.given(num_branches=(2, 3, 4), num_blocks=(2, 2, 2), with_fuse=(True, True, True))
    variant = _find_variant(stages)
    if variant.unit is LITE:
        stages.given(reduce_ratios=(CROSS_RESOLUTION_REDUCTION,) * 3)
    stages.unused("reduce_ratios")
    return variant


def _spec(variant: Variant) -> dict[str, Any]:
    """Describe the stages of a variant as an mmpose config does."""
    return {
        "module_type": (variant.unit.name.upper(),) * 3,
        "num_modules": variant.modules,
        "num_channels": tuple(variant.channels[:branches] for branches in (2, 3, 4)),
    }


def _find_variant(stages: Section) -> Variant:
    keys = ("module_type", "num_modules", "num_channels")
    said = {key: tupled(stages.values[key]) for key in keys if stages.has(key)}
    distance = {
        name: _distance(said, _spec(variant)) for name, variant in VARIANTS.items() if variant.unit in (LITE, NAIVE)
    }
    nearest = VARIANTS[min(distance, key=lambda name: distance[name])]
    if stages.is_dict and said != _spec(nearest):
        differences = [
            f"{key} {short(said.get(key))} instead of {value}"
            for key, value in _spec(nearest).items()
            if said.get(key) != value
        ]
        stages.problem("", f"is not a network of the paper (nearest: {nearest.name}, with {' and '.join(differences)})")
    return nearest


def _distance(said: dict[str, Any], spec: dict[str, Any]) -> tuple[float, ...]:
    """Compute the distance of a description from a variant: kind of unit, then widths and numbers of modules."""
    steps = [
        sum(abs(a - b) for a, b in zip_longest(_flat(said.get(key)), _flat(spec[key]), fillvalue=0))
        for key in ("num_channels", "num_modules")
    ]
    return (said.get("module_type") != spec["module_type"], *steps)


def _flat(value: Any) -> list[float]:
    """List the numbers in nested sequences."""
    if isinstance(value, tuple):
        return [number for part in value for number in _flat(part)]
    return [value] if type(value) in (int, float) else []


def _read_norm(norm: Section) -> bool:
    norm.fixed(requires_grad=True)
    return norm.one_of("type", ("BN", "SyncBN")) == "SyncBN"


def _read_head(head: Section, variant: Variant) -> int:
    head.given(type="TopDownSimpleHead")
    width = head.whole("in_channels", least=1)
    if head.is_dict and "in_channels" in head.values and width != variant.channels[0]:
        head.remarks.notes.append(
            f"{head.path('in_channels')} is {width}, but the backbone has {variant.channels[0]} channels: "
            f"{variant.channels[0]} is used, since {width} could not run"
        )
    head.given(num_deconv_layers=0)  # the default is three
    head.unused("num_deconv_filters", "num_deconv_kernels", "align_corners")
    head.fixed(in_index=0, input_transform=None)
    extra = head.section("extra", {})
    extra.fixed(final_conv_kernel=1, num_conv_layers=0)
    extra.unused("num_conv_kernels")
    return head.whole("out_channels", least=1)


def _read_loss(loss: Section) -> LossConfig:
    kind = loss.one_of("type", ("JointsMSELoss", "JointsOHKMMSELoss"))
    loss.given(use_target_weight=True)
    loss.fixed(loss_weight=1)
    if kind == "JointsMSELoss":
        return LossConfig()
    return LossConfig("ohkm", loss.whole("topk", 8, least=1))


def _read_decoding(test: Section) -> CodecKind:
    """Read the decoding of heatmaps (docs/spec/protocol.md, sections 4.2 and 6)."""
    post_process = test.one_of("post_process", (True, "default", "unbiased"), "default")
    unbiased = test.flag("unbiased_decoding", False) or same(post_process, "unbiased")
    test.one_of("target_type", GAUSSIAN_TARGETS, GAUSSIAN_TARGETS[0])
    test.unused("valid_radius_factor")  # belongs to another kind of target
    if test.flag("use_udp", False):
        return "udp"
    return "dark" if unbiased else "default"
