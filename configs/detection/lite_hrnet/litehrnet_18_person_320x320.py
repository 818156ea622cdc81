"""Lite-HRNet-18 as a person detector, input 320x320: the recipe of the bundled detector. See docs/detection.md.

The photos of the first set show people without a box; another detector's boxes complete them.
"""

variant = "lite_hrnet_18"
input_size_wh = (320, 320)
load_from = "lite_hrnet_18"
train = (
    dict(
        format="coco",
        annotations="data/coco_train_photos/annotations.json",
        images="data/coco_train_photos/images",
    ),
    dict(
        format="coco",
        annotations="data/coco_val_photos/annotations.json",
        images="data/coco_val_photos/images",
        without="configs/own/heldout_coco_image_ids.txt",
    ),
)
detection = dict(
    objects="person",
    scale=(0.7, 1.7),
    mosaic_probability=0.1,
    fill_from="reference/person_detector/picodet_s_320.xml",
)
training = dict(
    epochs=24,
    batch_size=16,
    workers=0,
    ema=0.998,
    optimizer=dict(kind="muon", learning_rate=2e-3),
    schedule=dict(kind="cosine", warmup_iterations=200),
    loss=dict(kind="boxes"),
    evaluate_every=2,
    log_every=50,
)
validation = dict(
    format="coco",
    annotations="data/coco_val_photos/annotations.json",
    images="data/coco_val_photos/images",
    only="configs/own/heldout_coco_image_ids.txt",
)
