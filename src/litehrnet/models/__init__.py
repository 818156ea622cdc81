"""The network in PyTorch, as the paper tells it; the only room that needs torch at import."""

from litehrnet.models.lite_hrnet import DetectionNetwork, Network, PoseNetwork, SegmentationNetwork, create_network

__all__ = ["DetectionNetwork", "Network", "PoseNetwork", "SegmentationNetwork", "create_network"]
