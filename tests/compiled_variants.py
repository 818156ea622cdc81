"""Names of the networks that the native engine runs; a unit may exist in PyTorch alone."""

from litehrnet.engine.units import STEPS
from litehrnet.variants import VARIANTS

COMPILED = [name for name, variant in VARIANTS.items() if variant.unit in STEPS]
