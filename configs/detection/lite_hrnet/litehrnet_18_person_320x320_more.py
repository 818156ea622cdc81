"""Lite-HRNet-18 as a person detector, input 320x320: more photos, and four photos in half of the samples.

Training continues from the bundled detector. ``runs/label_detector_photos.py`` writes the annotation files. The photos
of COCO are listed twice: they are like the photos that a detector sees later. The others are crops of one person.
"""

variant = "lite_hrnet_18"
input_size_wh = (320, 320)
load_from = "person"
train = (
    dict(format="coco", annotations="data_boxes/coco_train_photos.json", images="data/coco_train_photos/images"),
    dict(format="coco", annotations="data_boxes/coco_train_photos.json", images="data/coco_train_photos/images"),
    dict(
        format="coco",
        annotations="data_boxes/coco_val_photos.json",
        images="data/coco_val_photos/images",
        without="configs/own/heldout_coco_image_ids.txt",
    ),
    dict(
        format="coco",
        annotations="data_boxes/coco_val_photos.json",
        images="data/coco_val_photos/images",
        without="configs/own/heldout_coco_image_ids.txt",
    ),
    dict(format="coco", annotations="data_boxes/lspet.json", images="data/lspet/images"),
    dict(format="coco", annotations="data_boxes/lspet_more.json", images="data/lspet_more/images"),
    dict(format="coco", annotations="data_boxes/mpii_crops.json", images="data/mpii_crops/images"),
    dict(format="coco", annotations="data_boxes/mpii_train_crops.json", images="data/mpii_train_crops/images"),
)
detection = dict(
    objects="person",
    scale=(0.75, 1.8),
    mosaic_probability=0.5,
    fill_from="reference/person_detector/picodet_s_320.xml",
)
training = dict(
    epochs=5,
    batch_size=16,
    workers=0,
    ema=0.998,
    optimizer=dict(kind="muon", learning_rate=2e-3),
    schedule=dict(kind="cosine", warmup_iterations=100),
    loss=dict(kind="boxes"),
    evaluate_every=1,
    log_every=50,
)
validation = dict(
    format="coco",
    annotations="data/coco_val_photos/annotations.json",
    images="data/coco_val_photos/images",
    only="configs/own/heldout_coco_image_ids.txt",
)
