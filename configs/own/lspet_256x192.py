"""Lite-HRNet-18 on the 14 joints of Leeds Sports Pose Extended, input 256x192: the worked example of own keypoints.

It starts from the bundled weights, and the schedule fits the number of photos, as the recipe names neither.
docs/own_keypoints.md shows how to make the two annotation files, and how to put your own in their place.
"""

variant = "lite_hrnet_18"
keypoints = "lsp"
input_size_wh = (192, 256)
codec = dict(kind="default", sigma=2.0, blur_kernel=11, flip_shift=True)
train = (dict(format="coco", annotations="data/lspet/train.json", images="data/lspet/images"),)
validation = dict(format="coco", annotations="data/lspet/val.json", images="data/lspet/images")
