"""Segmentation without a network: classes, label images, class scores and metrics. NumPy only."""
