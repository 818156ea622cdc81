"""Geometry of keypoints: boxes, crops, heatmaps, similarity, skeletons; NumPy only."""
