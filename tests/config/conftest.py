"""mmpose configs like the ten of the reference implementation (docs/spec/protocol.md, sections 3.7 and 6)."""

from collections.abc import Callable

import pytest

_TEXT = """
load_from = None
resume_from = None
log_level = 'INFO'
dist_params = dict(backend='nccl')
workflow = [('train', 1)]
total_epochs = 210
checkpoint_config = dict(interval=10)
evaluation = dict({evaluation})
optimizer = dict(type='Adam', lr=2e-3)
optimizer_config = dict(grad_clip=None)
lr_config = dict(policy='step', step=[170, 200], warmup='linear', warmup_iters=500, warmup_ratio=0.001)
log_config = dict(interval=50, hooks=[dict(type='TextLoggerHook'), dict(type='TensorboardLoggerHook')])

channel_cfg = dict(
    dataset_joints={joints},
    num_output_channels={joints},
    dataset_channel={channels},
    inference_channel=list(range({joints})),
)
model = dict(
    type='TopDown',
    pretrained=None,
    backbone=dict(
        type='LiteHRNet',
        in_channels=3,
        extra=dict(
            num_stages=3,
            stem=dict(stem_channels=32, out_channels=32, expand_ratio=1),
            stages_spec=dict(
                num_branches=(2, 3, 4),
                num_blocks=(2, 2, 2),
                num_modules={modules},
                module_type=('{unit}',) * 3,
                with_fuse=(True, True, True),
                reduce_ratios=({ratio}, {ratio}, {ratio}),
                num_channels=({w0}, {w1}, {w2}),
            ),
            with_head=True,
        ),
    ),
    keypoint_head=dict(
        type='TopDownSimpleHead',
        in_channels=40,
        out_channels=channel_cfg['num_output_channels'],
        num_deconv_layers=0,
        extra=dict(final_conv_kernel=1),
    ),
    loss_pose=dict(type='JointsMSELoss', use_target_weight=True),
    train_cfg=dict(),
    test_cfg=dict(
        flip_test=True, post_process=True, shift_heatmap=True, unbiased_decoding=False, modulate_kernel=11
    ),
)
data_root = 'data/{dataset}'
data_cfg = dict(
    image_size=[{width}, {height}],
    heatmap_size=[{width} // 4, {height} // 4],
    num_joints=channel_cfg['dataset_joints'],
    num_output_channels=channel_cfg['num_output_channels'],
    dataset_channel=channel_cfg['dataset_channel'],
    inference_channel=channel_cfg['inference_channel'],
{thresholds})
val_data_cfg = dict(data_cfg, use_gt_bbox=True)
load = dict(type='LoadImageFromFile')
normal = dict(type='NormalizeTensor', mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
train_pipeline = [
    load,
    dict(type='TopDownRandomFlip', flip_prob=0.5),
{half_body}    dict(type='TopDownGetRandomScaleRotation', rot_factor=30, scale_factor=0.25),
    dict(type='TopDownAffine'),
    dict(type='ToTensor'),
    normal,
    dict(type='TopDownGenerateTarget', sigma={sigma}),
    dict(type='Collect', keys=['img', 'target', 'target_weight'], meta_keys=['image_file', 'center', 'scale']),
]
val_pipeline = [
    load,
    dict(type='TopDownAffine'),
    dict(type='ToTensor'),
    normal,
    dict(type='Collect', keys=['img'], meta_keys=['image_file', 'center', 'scale', 'rotation', 'flip_pairs']),
]
test_pipeline = val_pipeline
data = dict(
    samples_per_gpu={batch},
    workers_per_gpu={workers},
    train=dict(
        type='{kind}',
        ann_file=f'{{data_root}}/annotations/{train_file}',
        img_prefix=f'{{data_root}}/{train_images}/',
        data_cfg=data_cfg,
        pipeline=train_pipeline,
    ),
    val=dict(
        type='{kind}',
        ann_file=f'{{data_root}}/annotations/{val_file}',
        img_prefix=f'{{data_root}}/{val_images}/',
        data_cfg=val_data_cfg,
        pipeline=val_pipeline,
    ),
    test=dict(
        type='{kind}',
        ann_file=f'{{data_root}}/annotations/{val_file}',
        img_prefix=f'{{data_root}}/{val_images}/',
        data_cfg=data_cfg,
        pipeline=val_pipeline,
    ),
)
"""

_COCO = {
    "kind": "TopDownCocoDataset",
    "joints": 17,
    "channels": "[list(range(17))]",
    "evaluation": "interval=10, metric='mAP'",
    "workers": 4,
    "half_body": "    dict(type='TopDownHalfBodyTransform', num_joints_half_body=8, prob_half_body=0.3),\n",
    "thresholds": """    use_gt_bbox=False,
    bbox_file='data/coco/person_detection_results/'
    'COCO_val2017_detections_AP_H_56_person.json',
    soft_nms=False, oks_thr=0.9, vis_thr=0.2, image_thr=0.0, nms_thr=1.0, bbox_thr=1.0,
""",
    "train_file": "person_keypoints_train2017.json",
    "val_file": "person_keypoints_val2017.json",
    "train_images": "train2017",
    "val_images": "val2017",
}
_MPII = {
    "kind": "TopDownMpiiDataset",
    "joints": 16,
    "channels": "list(range(16))",
    "evaluation": "interval=5, metric='PCKh', key_indicator='PCKh'",
    "workers": 2,
    "half_body": "",
    "thresholds": "    use_gt_bbox=True, bbox_file=None,\n",
    "train_file": "mpii_train.json",
    "val_file": "mpii_val.json",
    "train_images": "images",
    "val_images": "images",
}


def _text_of(name: str) -> str:
    """The text of one of the ten published files, such as ``litehrnet_18_coco_256x192``."""
    dataset, size = name.split("_")[-2:]
    height, width = map(int, size.split("x"))
    naive = "naive" in name
    widths = (30, 60, 120, 240) if naive and "wider" not in name else (40, 80, 160, 320)
    return _TEXT.format(
        **(_COCO if dataset == "coco" else _MPII),
        dataset=dataset,
        width=width,
        height=height,
        sigma=3 if height == 384 else 2,
        batch=64 if (dataset, height) == ("coco", 256) else 32,
        modules="(3, 8, 3)" if "_30_" in name else "(2, 4, 2)",
        unit="NAIVE" if naive else "LITE",
        ratio=1 if naive else 8,
        w0=widths[:2],
        w1=widths[:3],
        w2=widths,
    )


@pytest.fixture
def published_text() -> Callable[[str], str]:
    """Gives the text of a configuration file in the published style."""
    return _text_of
