"""Names of the networks that the native engine runs, and how near to float64 they are in float32."""

from litehrnet.engine.compiler import is_compiled
from litehrnet.variants import BASIC, LITE, NAIVE, VARIANTS

COMPILED = [name for name, variant in VARIANTS.items() if is_compiled(variant.unit)]
LITE_NETWORKS = [name for name, variant in VARIANTS.items() if variant.unit in (LITE, NAIVE)]
COMPARED = [name for name, variant in VARIANTS.items() if variant.feature_stride == 32 or variant.unit is BASIC]
"""The networks that the paper compares itself with."""

FLOAT32_ERROR = {"mobilenetv2": 2e-5, "shufflenetv2": 2e-5, "mobilenetv3": 1e-4}
"""Largest error of some networks with arbitrary weights, divided by the largest heatmap value; 5e-6 for the others.

PyTorch in float32 is as far from float64: these networks have 50 layers in a row, without a sum over branches.
"""
