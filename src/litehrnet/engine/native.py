"""The compiled engine, if the install could build it."""

from functools import cache
from types import ModuleType

ABSENT = "the native engine is not part of this installation (installing where there is a C++ compiler builds it)"


@cache
def native_module() -> ModuleType | None:
    """The compiled module ``_native``; None if it was not built or does not load."""
    try:
        from litehrnet.engine import _native
    except ImportError:
        return None
    return _native
