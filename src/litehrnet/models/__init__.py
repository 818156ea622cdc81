"""The network in PyTorch, as the paper describes it. Importing this package needs torch."""

from litehrnet.models.networks import DetectionNetwork, Network, PoseNetwork, SegmentationNetwork, create_network

__all__ = ["DetectionNetwork", "Network", "PoseNetwork", "SegmentationNetwork", "create_network"]
