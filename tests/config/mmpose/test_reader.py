import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from litehrnet.config.mmpose.syntax import interpret
from litehrnet.config.read import LoadedConfig, load_config
from litehrnet.config.recipes import parse_python, read_recipe, recipe_names
from litehrnet.config.schema import LossConfig, OptimizerConfig, ScheduleConfig
from litehrnet.errors import UserError

PUBLISHED = [name for name in recipe_names() if "litehrnet_" in name and ("_coco_" in name or "_mpii_" in name)]
COCO, MPII = "litehrnet_18_coco_256x192", "litehrnet_18_mpii_256x256"

Load = Callable[..., LoadedConfig]


@pytest.fixture
def load(published_text: Callable[[str], str], tmp_path: Path) -> Load:
    """``load(name, (old, new), ..., overrides=[...])``: a published file, with some of its text replaced."""

    def read(name: str, *changes: tuple[str, str], overrides: tuple[str, ...] = ()) -> LoadedConfig:
        text = published_text(name)
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        path = tmp_path / f"{name}.py"
        path.write_text(text)
        return load_config(path, overrides)

    return read


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_file_is_our_recipe_of_its_name(load: Load, name: str) -> None:
    assert load(name).config == read_recipe(name)


@pytest.mark.parametrize("name", PUBLISHED)
def test_only_the_narrow_networks_have_a_head_to_correct(load: Load, name: str) -> None:
    narrow = name.startswith("naive")
    notes = [
        "model.keypoint_head.in_channels is 40, but the backbone has 30 channels: 30 is used, since 40 could not run"
    ]
    assert list(load(name).notes) == (notes if narrow else [])


@pytest.fixture
def json_file(published_text: Callable[[str], str], tmp_path: Path) -> Path:
    """What the published tools make of a file when they write it as JSON."""
    path = tmp_path / f"{COCO}.json"
    values = interpret(parse_python(published_text(COCO), path), path).values
    path.write_text(json.dumps({name: value for name, value in values.items() if name not in ("load", "normal")}))
    return path


def test_json_says_the_same_as_python(load: Load, json_file: Path) -> None:
    assert load_config(json_file).config == load(COCO).config


def test_trailing_slash_of_a_folder_does_not_matter(load: Load) -> None:
    without = load(COCO, ("/train2017/'", "/train2017'"), ("/val2017/'", "/val2017'"))
    assert without.config == load(COCO).config


OWN = {
    "images": [],
    "annotations": [],
    "categories": [{"id": 1, "name": "bird", "keypoints": ["beak", "left_wing", "right_wing"], "skeleton": []}],
}


def test_other_keypoints_are_those_of_the_training_annotations(load: Load, tmp_path: Path) -> None:
    annotations = tmp_path / "birds.json"
    annotations.write_text(json.dumps(OWN))
    overrides = (
        "channel_cfg.num_output_channels=3",
        "channel_cfg.dataset_joints=3",
        f"data.train.ann_file={annotations}",
    )
    config = load(COCO, overrides=overrides).config
    assert config.keypoints == str(annotations)
    assert config.keypoint_set.keypoint_names == ("beak", "left_wing", "right_wing")
    assert config.train[0].keypoints is None


def test_number_of_keypoints_that_the_annotations_do_not_have_is_refused(load: Load, tmp_path: Path) -> None:
    annotations = tmp_path / "birds.json"
    annotations.write_text(json.dumps(OWN))
    overrides = (
        "channel_cfg.num_output_channels=4",
        "channel_cfg.dataset_joints=4",
        f"data.train.ann_file={annotations}",
    )
    with pytest.raises(UserError, match=r"out_channels is 4, but .*birds\.json has 3 keypoints"):
        load(COCO, overrides=overrides)


def test_other_sizes_are_taken(load: Load) -> None:
    changes = [("[192, 256]", "[128, 96]"), ("[192 // 4, 256 // 4]", "[32, 24]"), ("sigma=2", "sigma=1.5")]
    config = load(COCO, *changes).config
    assert config.input_size_wh == (128, 96)
    assert config.codec.sigma == 1.5


@pytest.mark.parametrize(
    ("old", "new", "key", "expected"),
    [
        ("post_process=True", "post_process='default'", "codec.kind", "default"),
        ("modulate_kernel=11", "modulate_kernel=17", "codec.blur_kernel", 17),
        ("shift_heatmap=True", "shift_heatmap=False", "codec.flip_shift", False),
        ("shift_heatmap=True, ", "", "codec.flip_shift", False),
        ("flip_test=True", "flip_test=False", "test.flip", False),
        ("flip_test=True", "flip_test=False", "validation.flip", False),
        ("soft_nms=False", "soft_nms=True", "test.nms", "soft"),
        ("soft_nms=False", "soft_nms=True, use_nms=False", "test.nms", "none"),
        ("oks_thr=0.9", "oks_thr=0.8", "test.oks_threshold", 0.8),
        ("vis_thr=0.2", "vis_thr=0.3", "validation.visibility_threshold", 0.3),
        ("image_thr=0.0", "det_bbox_thr=0.4", "test.min_box_score", 0.4),
        ("image_thr=0.0", "det_bbox_thr=0.4, image_thr=0.1", "test.min_box_score", 0.1),
        ("use_gt_bbox=False", "use_gt_bbox=True", "test.boxes", None),
        ("use_gt_bbox=True", "use_gt_bbox=False, bbox_file='b.json'", "validation.boxes", "b.json"),
        ("'JointsMSELoss'", "'JointsOHKMMSELoss'", "training.loss", LossConfig("ohkm", 8)),
        ("'JointsMSELoss'", "'JointsOHKMMSELoss', topk=5", "training.loss", LossConfig("ohkm", 5)),
        ("in_channels=3,", "in_channels=3, norm_cfg=dict(type='SyncBN'),", "training.sync_batch_norm", True),
        ("lr=2e-3", "lr=5e-4, weight_decay=1e-4, betas=[0.8, 0.99]", "training.optimizer",
         OptimizerConfig("adam", 5e-4, (0.8, 0.99), weight_decay=1e-4)),
        ("type='Adam', lr=2e-3", "type='AdamW', lr=1", "training.optimizer",
         OptimizerConfig("adamw", 1.0, weight_decay=0.01)),
        ("type='Adam', lr=2e-3", "type='SGD', lr=0.1", "training.optimizer", OptimizerConfig("sgd", 0.1, momentum=0.0)),
        ("type='Adam', lr=2e-3", "type='SGD', lr=0.1, momentum=0.8", "training.optimizer.momentum", 0.8),
        ("grad_clip=None", "grad_clip=dict(max_norm=35, norm_type=2)", "training.optimizer.clip_norm", 35.0),
        ("step=[170, 200], ", "step=80, ", "training.schedule.steps", (80, 160)),
        ("step=[170, 200], ", "step=[9], gamma=0.5, ", "training.schedule.factor", 0.5),
        ("policy='step', step=[170, 200], ", "policy='CosineAnnealing', min_lr=0, ", "training.schedule",
         ScheduleConfig("cosine", ())),
        ("warmup='linear'", "warmup=None", "training.schedule.warmup_iterations", 0),
        ("total_epochs = 210", "total_epochs = 7", "training.epochs", 7),
        ("checkpoint_config = dict(interval=10)", "checkpoint_config = dict(interval=3)", "training.save_every", 3),
        ("checkpoint_config = dict(interval=10)", "checkpoint_config = dict()", "training.save_every", 210),
        ("interval=10, metric", "interval=2, metric", "training.evaluate_every", 2),
        ("interval=10, metric", "interval=-1, metric", "training.evaluate_every", -1),
        ("metric='mAP'", "metric='mAP', save_best='AP .5'", "training.best_by", "AP .5"),
        ("metric='mAP'", "metric=['mAP'], key_indicator='AR'", "training.best_by", "AR"),
        ("metric='mAP'", "metric='mAP', save_best='AP'", "training.best_by", None),
        ("interval=50", "interval=5", "training.log_every", 5),
        ("samples_per_gpu=64", "samples_per_gpu=3", "training.batch_size", 3),
        ("workers_per_gpu=4", "workers_per_gpu=4, train_dataloader=dict(samples_per_gpu=2)", "training.batch_size", 2),
        ("workers_per_gpu=4", "workers_per_gpu=0", "training.workers", 0),
        ("total_epochs = 210", "total_epochs = 210\nfp16 = dict(loss_scale='dynamic')", "training.precision", "fp16"),
        ("load_from = None", "load_from = 'a.pth'", "load_from", "a.pth"),
        ("resume_from = None", "resume_from = 'b.pth'", "resume_from", "b.pth"),
        ("load_from = None", "load_from = None\nwork_dir = './out'", "work_dir", "./out"),
        ("    dict(type='TopDownRandomFlip', flip_prob=0.5),\n", "", "augmentation.flip_probability", 0.0),
        ("flip_prob=0.5", "flip_prob=0.25", "augmentation.flip_probability", 0.25),
        ("rot_factor=30", "rot_factor=20, rot_prob=1", "augmentation.rotation_probability", 1.0),
        ("rot_factor=30, ", "", "augmentation.rotation_deg", 40.0),
        ("num_joints_half_body=8", "num_joints_half_body=5", "augmentation.half_body_above", 5),
    ],
)  # fmt: skip
def test_value_of_a_published_key_arrives(load: Load, old: str, new: str, key: str, expected: Any) -> None:
    value: Any = load(COCO, (old, new)).config
    for part in key.split("."):
        value = getattr(value, part)
    assert value == expected


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ([("sigma=2)", "sigma=2, unbiased_encoding=True)"), ("post_process=True", "post_process='unbiased'")], "dark"),
        ([("sigma=2)", "sigma=2, unbiased_encoding=True)"), ("unbiased_decoding=False", "unbiased_decoding=True")],
         "dark"),
        ([("sigma=2)", "sigma=2, encoding='UDP')"), ("modulate_kernel=11", "modulate_kernel=11, use_udp=True"),
          ("'TopDownAffine'", "'TopDownAffine', use_udp=True")], "udp"),
    ],
)  # fmt: skip
def test_other_ways_to_write_heatmaps_are_taken(load: Load, changes: list[tuple[str, str]], kind: str) -> None:
    assert load(COCO, *changes).config.codec.kind == kind


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("type='LiteHRNet'", "type='HRNet'", r"model.backbone.type is 'HRNet' \(expected 'LiteHRNet'\)"),
        ("'TopDownSimpleHead'", "'ViPNASHeatmapSimpleHead'", "model.keypoint_head.type is 'ViPNAS"),
        ("num_deconv_layers=0", "num_deconv_layers=1", r"num_deconv_layers is 1 \(expected 0\)"),
        ("num_deconv_layers=0,", "", "model.keypoint_head.num_deconv_layers is missing"),
        ("with_fuse=(True, True, True)", "with_fuse=(True, True, False)", "stages_spec.with_fuse is"),
        ("final_conv_kernel=1", "final_conv_kernel=3", "final_conv_kernel is 3"),
        ("reduce_ratios=(8, 8, 8)", "reduce_ratios=(4, 4, 4)", "reduce_ratios is"),
        ("pretrained=None", "pretrained='a.pth'", "model.pretrained is 'a.pth'"),
        ("num_channels=((40, 80)", "num_channels=((32, 64)", "of the paper .nearest: lite_hrnet_18, with num"),
        ("num_modules=(2, 4, 2)", "num_modules=(3, 8, 2)", r"nearest: lite_hrnet_30, with num_modules \(3, 8, 2\)"),
        ("'LITE'", "'NAIVE'", None),
        ("'JointsMSELoss'", "'AdaptiveWingLoss'", "model.loss_pose.type is 'AdaptiveWingLoss'"),
        ("use_target_weight=True", "use_target_weight=False", "model.loss_pose.use_target_weight is False"),
        ("post_process=True", "post_process=False", "model.test_cfg.post_process is False"),
        ("post_process=True", "post_process='megvii'", "post_process is 'megvii'"),
        ("post_process=True", "post_process='unbiased'", "decodes heatmaps as dark and .* encodes them as default"),
        ("modulate_kernel=11", "modulate_kernel=12", "blur kernel 12"),
        ("sigma=2)", "sigma=2, encoding='Megvii')", "encoding is 'Megvii'"),
        ("[192 // 4, 256 // 4]", "[96, 128]", r"data.train.data_cfg.heatmap_size is \[96, 128\]"),
        ("[192, 256]", "[200, 256]", "200x256"),
        ("num_joints=channel_cfg['dataset_joints']", "num_joints=14",
         r"data.test.data_cfg.num_joints is 14 \(expected 17, as in model.keypoint_head.out_channels\)"),
        ("type='ToTensor'", "type='TopDownRandomTranslation'", "train.pipeline.5.type is 'TopDownRandomTr"),
        ("    dict(type='ToTensor'),\n    normal,", "    normal,\n    dict(type='ToTensor'),", "in this order"),
        ("mean=[0.485", "mean=[0.5", "data.val.pipeline.3.mean is"),
        ("'TopDownCocoDataset'", "'TopDownCrowdPoseDataset'", "data.train.type is 'TopDownCrowdPoseDataset'"),
        ("dict(\n        type='TopDownCocoDataset'", "dict(\n        type='RepeatDataset'", "data.train.type is 'Rep"),
        ("type='Adam'", "type='Adadelta'", "optimizer.type is 'Adadelta'"),
        ("lr=2e-3", "lr='high'", r"optimizer.lr is 'high' \(expected a number\)"),
        ("policy='step'", "policy='poly'", "lr_config.policy is 'poly'"),
        ("warmup='linear'", "warmup='exp'", "lr_config.warmup is 'exp'"),
        ("metric='mAP'", "metric='PCKh'", "evaluation.metric is 'PCKh'"),
        ("metric='mAP'", "metric='mAP', rule='less'", "evaluation.rule is 'less'"),
        ("total_epochs = 210", "total_epochs = 210\nfp16 = dict(loss_scale=512.)", "fp16.loss_scale is 512.0"),
        ("total_epochs = 210", "total_epochs = 0", "total_epochs is 0"),
        ("workflow = [('train', 1)]", "workflow = [('train', 2)]", "workflow is"),
        ("total_epochs", "totl_epochs", r"totl_epochs is unknown \(did you mean total_epochs\?\)"),
        ("flip_prob=", "flip_porb=", r"pipeline.1.flip_porb is unknown \(did you mean flip_prob\?\)"),
        ("soft_nms", "soft_mns", r"data.val.data_cfg.soft_mns is unknown \(did you mean soft_nms\?\)"),
        ("total_epochs = 210", "total_epochs = 210\ncustom_hooks = []", "custom_hooks is unknown"),
        ("total_epochs = 210", "total_epochs = 210\n_base_ = ['a.py']", "uses other files by _base_"),
        ("total_epochs = 210", "train_cfg = dict(max_epochs=210)\n_base_ = ['a.py']", "is a config of MMPose 1.x"),
        ("bbox_file=", "box_file=", "data.test.data_cfg.bbox_file is missing"),
        ("train_cfg=dict()", "train_cfg=dict(), neck=dict(type='FPN')", "model.neck is unknown"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_named(load: Load, old: str, new: str, message: str | None) -> None:
    if message is None:
        assert load(COCO, (old, new)).config.variant == "wider_naive_lite_hrnet_18"
        return
    with pytest.raises(UserError, match=message):
        load(COCO, (old, new))


def test_all_that_is_wrong_stands_in_one_sentence(load: Load) -> None:
    changes = [("type='LiteHRNet'", "type='HRNet'"), ("lr=2e-3", "learning_rate=2e-3"), ("oks_thr", "oks_threshold")]
    with pytest.raises(UserError) as caught:
        load(COCO, *changes)
    said = str(caught.value)
    for part in (
        "model.backbone.type is 'HRNet'",
        "optimizer.lr is missing",
        "optimizer.learning_rate is unknown",
        "data.val.data_cfg.oks_threshold is unknown (did you mean oks_thr?)",
        "data.test.data_cfg.oks_threshold is unknown",
    ):
        assert part in said
    assert "\n" not in said


def test_what_changes_no_result_is_left_out_with_a_note(load: Load) -> None:
    changes = [
        ("workflow = [('train', 1)]", "workflow = [('train', 1), ('val', 1)]"),
        ("checkpoint_config = dict(interval=10)", "checkpoint_config = dict(interval=10, max_keep_ckpts=3)"),
        ("dict(type='TextLoggerHook')", "dict(type='WandbLoggerHook', project='x')"),
    ]
    loaded = load(COCO, *changes)
    assert loaded.config == read_recipe(COCO)
    assert loaded.notes == (
        "workflow: its phase val does not change weights and is left out",
        "checkpoint_config.max_keep_ckpts: all checkpoints are kept",
        "log_config.hooks.0.type: WandbLoggerHook is left out",
    )


def test_cosine_falls_with_every_iteration_and_says_so(load: Load) -> None:
    cosine = "policy='CosineAnnealing', min_lr=0, "
    step = "policy='step', step=[170, 200], "
    assert load(COCO, (step, cosine)).notes == ("lr_config: the rate falls with every iteration, not with every epoch",)
    assert load(COCO, (step, cosine + "by_epoch=False, ")).notes == ()


def test_published_keys_are_overridden(load: Load) -> None:
    overrides = ("optimizer.lr=1e-3", "data.samples_per_gpu=16", "model.test_cfg.flip_test=False", "total_epochs=3")
    loaded = load(COCO, overrides=overrides)
    assert loaded.config.training.optimizer.learning_rate == 1e-3
    assert (loaded.config.training.batch_size, loaded.config.training.epochs) == (16, 3)
    assert not loaded.config.tested_on.flip
    assert loaded.recipe == read_recipe(COCO)
    assert loaded.notes == ()


def test_key_that_is_not_in_the_file_is_overridden_too(load: Load) -> None:
    overrides = ("fp16.loss_scale=dynamic", "load_from=a.pth", "data.test.data_cfg.use_nms=False")
    config = load(COCO, overrides=overrides).config
    assert (config.training.precision, config.load_from) == ("fp16", "a.pth")
    assert config.test is not None
    assert config.test.nms == "none"


def test_override_of_a_helper_reaches_what_is_made_of_it(load: Load) -> None:
    overrides = ("data_cfg.image_size=[96,128]", "data_cfg.heatmap_size=[24,32]", "data_root=elsewhere")
    loaded = load(COCO, overrides=overrides)
    assert loaded.config.input_size_wh == (96, 128)
    assert loaded.config.train[0].images == "elsewhere/train2017"
    assert loaded.notes[0] == (
        "data_cfg.image_size is set where the file assigns data_cfg, so it changes data.train.data_cfg.image_size, "
        "data.val.data_cfg.image_size, data.test.data_cfg.image_size"
    )
    assert loaded.notes[2].endswith("data.train.img_prefix, data.val.ann_file and 3 more")


def test_override_of_a_step_in_a_helper_reaches_the_pipeline(load: Load) -> None:
    loaded = load(COCO, overrides=("train_pipeline.1.flip_prob=0.1",))
    assert loaded.config.augmentation.flip_probability == 0.1


def test_override_of_one_use_of_a_helper_leaves_the_others(load: Load) -> None:
    config = load(COCO, overrides=("data.test.data_cfg.oks_thr=0.5",)).config
    assert config.test is not None
    assert config.validation is not None
    assert (config.test.oks_threshold, config.validation.oks_threshold) == (0.5, 0.9)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimzer.lr=1", r"unknown key optimzer.lr \(did you mean optimizer\?\)"),
        ("optimizer.lrs=1", r"optimizer.lrs is unknown \(did you mean lr\?\)"),
        ("data.samples_per_gpus=1", r"data.samples_per_gpus is unknown \(did you mean samples_per_gpu\?\)"),
        (
            "training.batch_size=16",
            "unknown key training.batch_size",
        ),
        (
            "channel_cfg.num_output_chanels=3",
            "nothing in the file uses .*mean channel_cfg.num_output_channels",
        ),
        ("data_cfg.oks_treshold=0.5", r"data.test.data_cfg.oks_treshold is unknown"),
        ("test_pipeline.1.use_udp=True", "nothing in the file uses test_pipeline.1.use_udp"),
        ("train_pipeline.40.sigma=3", "there is no element 40"),
        ("optimizer.lr.x=3", "has no parts"),
    ],
)
def test_override_without_effect_is_refused(load: Load, override: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load(COCO, overrides=(override,))


def test_override_may_repair_a_file(load: Load) -> None:
    loaded = load(
        COCO, ("num_deconv_layers=0", "num_deconv_layers=1"), overrides=("model.keypoint_head.num_deconv_layers=0",)
    )
    assert loaded.config == loaded.recipe == read_recipe(COCO)


def test_helpers_in_json_cannot_be_overridden(json_file: Path) -> None:
    assert load_config(json_file, ["total_epochs=3"]).config.training.epochs == 3
    with pytest.raises(UserError, match=r"nothing in the file uses data_cfg.oks_thr"):
        load_config(json_file, ["data_cfg.oks_thr=0.5"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "broken JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("[]", "expected a JSON object"),
        ('{"model": 5}', "model is 5 .*data is missing"),
        ('{"_base_": "a.py"}', "_base_"),
    ],
)
def test_broken_json_is_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "broken.json"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        load_config(path)


def test_mpii_needs_its_sixteen_keypoints(load: Load) -> None:
    with pytest.raises(UserError, match=r"out_channels is 14 \(expected 16, as mpii has\)"):
        load(MPII, overrides=("channel_cfg.num_output_channels=14", "channel_cfg.dataset_joints=14"))


def test_file_without_validation_and_test_may_be_trained_on(load: Load) -> None:
    config = load(COCO, overrides=("data.val=None", "data.test=None")).config
    assert (config.validation, config.test) == (None, None)
    assert dataclasses.replace(config, test=None) == config
