"""Networks compared on small sets of photos, input 128x96 (height x width): the recipe of litehrnet compare.

Networks learn from the labels of all people except those in held-out photos, without a teacher and from random weights.
Each network is tested once, at the end. litehrnet compare sets the variants and the time, so the variant below and the
number of epochs are not used. See docs/evaluation.md.
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
    dict(format="coco", annotations="data/coco_train_photos/annotations.json", images="data/coco_train_photos/images"),
    dict(format="coco", annotations="data/lspet/annotations.json", images="data/lspet/images"),
    dict(format="coco", annotations="data/lspet_more/annotations.json", images="data/lspet_more/images"),
    dict(format="coco", annotations="data/mpii_crops/annotations.json", images="data/mpii_crops/images"),
    dict(format="coco", annotations="data/mpii_train_crops/annotations.json", images="data/mpii_train_crops/images"),
)
augmentation = dict(
    half_body_probability=0.1,
    rotation_deg=15.0,
    center_jitter_probability=0.3,
    background_probability=0.5,
)
training = dict(
    batch_size=32,
    workers=0,
    ema=0.998,
    optimizer=dict(learning_rate=1.5e-3),
    schedule=dict(kind="cosine", warmup_iterations=100),
)
test = dict(format="coco", annotations="data/coco_dev/annotations.json", images="data/coco_dev/images")
