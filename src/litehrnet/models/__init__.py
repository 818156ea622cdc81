"""The network in PyTorch, as the paper tells it; the only room that needs torch at import."""

from litehrnet.models.lite_hrnet import DetectionNet, Network, PoseNetwork, SegmentationNet, create_network

__all__ = ["DetectionNet", "Network", "PoseNetwork", "SegmentationNet", "create_network"]
