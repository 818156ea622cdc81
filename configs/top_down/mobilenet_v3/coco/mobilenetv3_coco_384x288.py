"""MobileNetV3 on COCO keypoints, input 384x288 (height x width).

No result is published for this size.
The settings are those of MobileNetV2: none are published.
"""

variant = "mobilenetv3"
keypoints = "coco"
input_size_wh = (288, 384)
codec = dict(kind="default", sigma=3.0, blur_kernel=11, flip_shift=True)
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
