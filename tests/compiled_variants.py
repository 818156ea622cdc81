"""Names of the networks that the native engine runs; a unit may exist in PyTorch alone."""

from litehrnet.engine.compiler import is_compiled
from litehrnet.variants import VARIANTS

COMPILED = [name for name, variant in VARIANTS.items() if is_compiled(variant.unit)]
