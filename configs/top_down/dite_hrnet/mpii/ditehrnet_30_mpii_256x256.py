"""Dite-HRNet-30 on MPII, input 256x256.

As published (validation set, flip test): PCKh@0.5 0.876, PCKh@0.1 0.317.
"""

variant = "dite_hrnet_30"
keypoints = "mpii"
input_size_wh = (256, 256)
codec = dict(kind="default", sigma=2.0, blur_kernel=11, flip_shift=True)
train = (dict(format="mpii", annotations="data/mpii/annotations/mpii_train.json", images="data/mpii/images"),)
augmentation = dict(half_body_probability=0.0)
training = dict(epochs=260, batch_size=32, workers=2)
validation = dict(format="mpii", annotations="data/mpii/annotations/mpii_val.json", images="data/mpii/images")
test = dict(format="mpii", annotations="data/mpii/annotations/mpii_val.json", images="data/mpii/images")
