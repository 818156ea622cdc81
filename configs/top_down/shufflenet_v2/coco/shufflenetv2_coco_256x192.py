"""ShuffleNetV2 on COCO keypoints, input 256x192 (height x width).

As published (val2017, boxes of the 56.4 AP detector, flip test): AP 0.599, AP50 0.854, AP75 0.663, AR 0.664.
The published training starts from ImageNet weights. This one starts from random weights.
"""

variant = "shufflenetv2"
keypoints = "coco"
input_size_wh = (192, 256)
codec = dict(kind="default", sigma=2.0, blur_kernel=11, flip_shift=True)
train = (
    dict(
        format="coco", annotations="data/coco/annotations/person_keypoints_train2017.json", images="data/coco/train2017"
    ),
)
augmentation = dict(rotation_deg=40.0, scale=0.5)
training = dict(batch_size=64, workers=4, optimizer=dict(learning_rate=5e-4))
validation = dict(
    format="coco", annotations="data/coco/annotations/person_keypoints_val2017.json", images="data/coco/val2017"
)
test = dict(
    format="coco",
    annotations="data/coco/annotations/person_keypoints_val2017.json",
    images="data/coco/val2017",
    boxes="data/coco/person_detection_results/COCO_val2017_detections_AP_H_56_person.json",
)
