"""Lite-HRNet-18 for the box, second and last stage: input 256x192 (height x width), from the weights of the first.

The same persons as in litehrnet_18_128x96.py, turned and cropped less, as the schedule is short; the teacher is the one
for this size, whose peaks are as wide as the labels'. See docs/log/training_2026-11.md.
"""

variant = "lite_hrnet_18"
keypoints = "coco"
input_size_wh = (192, 256)
load_from = "work_dirs/litehrnet_18_128x96/last.safetensors"
train = (
    dict(
        format="coco",
        annotations="data/coco_train_crops/annotations.json",
        images="data/coco_train_crops/images",
        without="configs/own/heldout_coco_image_ids.txt",
    ),
    dict(format="coco", annotations="data/lspet/annotations.json", images="data/lspet/images"),
    dict(format="coco", annotations="data/mpii_crops/annotations.json", images="data/mpii_crops/images"),
)
augmentation = dict(rotation_deg=20, half_body_probability=0.2)
training = dict(
    epochs=8,
    batch_size=16,
    workers=0,
    ema=0.998,
    optimizer=dict(kind="muon", learning_rate=1e-3),
    schedule=dict(kind="cosine", warmup_iterations=100),
    evaluate_every=1,
    log_every=20,
    seed=2,
)
distill = dict(teacher="reference/tinypose_wider_naive_litehrnet_18_coco_256x192.pth", share=0.5, teacher_sigma=2.0)
validation = dict(
    format="coco",
    annotations="data/coco_train_crops/annotations.json",
    images="data/coco_train_crops/images",
    only="configs/own/heldout_coco_image_ids.txt",
)
