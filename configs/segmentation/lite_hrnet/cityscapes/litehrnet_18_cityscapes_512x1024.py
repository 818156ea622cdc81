"""Lite-HRNet-18 on Cityscapes, crops of 512x1024 (height x width), from random weights: 73.8 mIoU (val) in the paper.

Where the paper is silent, the values are ours and say so. Nobody published a network trained by this recipe, and
neither do we: no mIoU of ours is claimed. See docs/segmentation.md.
"""

variant = "lite_hrnet_18"
input_size_wh = (1024, 512)
segmentation = dict(
    classes="cityscapes",
    scale=(0.5, 2.0),
    max_class_share=0.75,  # ours, and so are the colors: what others train Cityscapes with
    flip_probability=0.5,
    brightness=0.125,
    contrast=0.5,
    saturation=0.5,
)
train = (
    dict(
        format="cityscapes",
        images="data/cityscapes/leftImg8bit/train",
        annotations="data/cityscapes/gtFine/train",
    ),
)
training = dict(
    epochs=865,  # ours: 160,000 iterations, as 2,975 images make 185 steps of 16
    batch_size=16,  # ours: of all processes together; with four of them, training.batch_size=4
    workers=8,
    optimizer=dict(kind="sgd", learning_rate=0.01, momentum=0.9, weight_decay=5e-4),
    schedule=dict(kind="poly", power=0.9, warmup_iterations=0),
    loss=dict(kind="cross_entropy"),
    sync_batch_norm=True,  # ours: two or four large crops per process are few to take statistics of
    evaluate_every=50,  # ours
    save_every=50,
)
validation = dict(
    format="cityscapes",
    images="data/cityscapes/leftImg8bit/val",
    annotations="data/cityscapes/gtFine/val",
    flip=False,
)
