"""MobileNetV2 on MPII, input 256x256.

As published (validation set, flip test): PCKh@0.5 0.854, PCKh@0.1 0.235.
The published training starts from ImageNet weights. This one starts from random weights.
"""

variant = "mobilenetv2"
keypoints = "mpii"
input_size_wh = (256, 256)
codec = dict(kind="default", sigma=2.0, blur_kernel=11, flip_shift=True)
train = (dict(format="mpii", annotations="data/mpii/annotations/mpii_train.json", images="data/mpii/images"),)
augmentation = dict(half_body_probability=0.0, rotation_deg=40.0, scale=0.5)
training = dict(batch_size=64, workers=2, optimizer=dict(learning_rate=5e-4))
validation = dict(format="mpii", annotations="data/mpii/annotations/mpii_val.json", images="data/mpii/images")
test = dict(format="mpii", annotations="data/mpii/annotations/mpii_val.json", images="data/mpii/images")
