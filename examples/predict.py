"""Find the people in a photo and draw them: ``python examples/predict.py photo.jpg drawn.jpg``."""

import sys

from litehrnet import PoseEstimator, draw_poses, read_image, write_image

photo, drawn = sys.argv[1:]
image = read_image(photo)  # uint8 (height, width, 3), RGB
poses = PoseEstimator().predict(image)  # bundled detector and weights; the surest person first

for number, (points, scores) in enumerate(zip(poses.keypoints, poses.scores, strict=True), start=1):
    print(f"person {number}")
    for name, (x, y), score in zip(poses.keypoint_set.keypoint_names, points, scores, strict=True):
        if score > 0.2:
            print(f"  {name:15} at {x:6.1f}, {y:6.1f}   score {score:.2f}")

write_image(drawn, draw_poses(image, poses))
