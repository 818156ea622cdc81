"""Lite-HRNet-18 for the box, first stage: input 128x96 (height x width), labels and a teacher's heatmaps.

7,721 persons cut out of photos of COCO, Leeds Sports Pose Extended and MPII; the last two lack the joints of the face,
for which, as for every joint without a label, the teacher's heatmaps are the target. See docs/log/training_2026-11.md.
"""

variant = "lite_hrnet_18"
keypoints = "coco"
input_size_wh = (96, 128)
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
training = dict(
    epochs=27,
    batch_size=32,
    workers=0,
    ema=0.998,
    optimizer=dict(kind="muon", learning_rate=2e-3),
    schedule=dict(kind="cosine", warmup_iterations=100),
    evaluate_every=4,
    log_every=20,
)
distill = dict(teacher="reference/tinypose_wider_naive_litehrnet_18_coco_128x96.pth", share=0.5, teacher_sigma=1.18)
validation = dict(
    format="coco",
    annotations="data/coco_train_crops/annotations.json",
    images="data/coco_train_crops/images",
    only="configs/own/heldout_coco_image_ids.txt",
)
