"""Inference runtimes behind one protocol: native engine, ONNX Runtime, OpenVINO, LiteRT, PyTorch."""

from litehrnet.runtimes.open import PRECISIONS, RUNTIMES, RuntimeSettings, described_weights, open_runtime
from litehrnet.runtimes.protocol import Runtime

__all__ = ["PRECISIONS", "RUNTIMES", "Runtime", "RuntimeSettings", "described_weights", "open_runtime"]
