"""Lite-HRNet-18, the last stage of the bundled weights: three times the people of litehrnet_18_256x192.py.

Input 256x192 (height x width), two processes of 16 samples. See docs/log/training_2026-11.md.
"""

variant = "lite_hrnet_18"
keypoints = "coco"
input_size_wh = (192, 256)
load_from = "lite_hrnet_18"
train = (
    dict(
        format="coco",
        annotations="data/coco_train_crops/annotations.json",
        images="data/coco_train_crops/images",
        without="configs/own/heldout_coco_image_ids.txt",
    ),
    dict(format="coco", annotations="data/coco_train_photos/annotations.json", images="data/coco_train_photos/images"),
    dict(format="coco", annotations="data/lspet/annotations.json", images="data/lspet/images"),
    dict(format="coco", annotations="data/lspet_more/annotations.json", images="data/lspet_more/images"),
    dict(format="coco", annotations="data/mpii_crops/annotations.json", images="data/mpii_crops/images"),
    dict(format="coco", annotations="data/mpii_train_crops/annotations.json", images="data/mpii_train_crops/images"),
)
augmentation = dict(
    half_body_probability=0.3,
    rotation_deg=30,
    scale=0.25,
    center_jitter_probability=0.3,
    brightness=0.2,
    contrast=0.4,
    saturation=0.5,
    blur_probability=0.3,
    cutout_probability=0.2,
    background_probability=0.7,
    anywhere_probability=0.1,
)
training = dict(
    epochs=7,
    batch_size=16,
    workers=0,
    ema=0.998,
    optimizer=dict(kind="muon", learning_rate=2e-3),
    schedule=dict(kind="cosine", warmup_iterations=100),
    evaluate_every=1,
    log_every=50,
    seed=13,
)
distill = dict(teacher="reference/tinypose_wider_naive_litehrnet_18_coco_256x192.pth", share=0.5, teacher_sigma=2.0)
validation = dict(
    format="coco",
    annotations="data/coco_train_crops/annotations.json",
    images="data/coco_train_crops/images",
    only="configs/own/heldout_coco_image_ids.txt",
)
