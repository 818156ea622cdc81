"""The compiled engine, if the install could build it."""

from functools import cache
from types import ModuleType

ABSENT = "the native engine was not built (reinstall with a C++20 compiler available)"


@cache
def native_module() -> ModuleType | None:
    """The compiled module ``_native``; None if it was not built or does not load."""
    try:
        from litehrnet.engine import _native
    except ImportError:
        return None
    return _native
