"""Lite-HRNet-18 on two small sets of crops, input 128x96 (height x width): a first training on a laptop's CPU.

4,739 people cut out of COCO photos and 3,000 of Leeds Sports Pose Extended, of which the 12 joints in common count. The
random changes are smaller and fewer than in the published recipe, and 20 epochs are all that time allows.
See docs/training.md.
"""

variant = "lite_hrnet_18"
keypoints = "coco"
input_size_wh = (96, 128)
train = (
    dict(format="coco", annotations="data/coco_train_crops/annotations.json", images="data/coco_train_crops/images"),
    dict(format="coco", annotations="data/lspet/annotations.json", images="data/lspet/images"),
)
augmentation = dict(half_body_probability=0.1, rotation_deg=15.0)
training = dict(
    epochs=20,
    batch_size=32,
    workers=0,
    ema=0.998,
    optimizer=dict(learning_rate=1.5e-3),
    schedule=dict(kind="cosine", warmup_iterations=200),
    evaluate_every=4,
    log_every=20,
)
validation = dict(format="coco", annotations="data/coco_dev/annotations.json", images="data/coco_dev/images")
