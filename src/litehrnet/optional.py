"""Packages that are not part of the base install."""

import importlib.util

from litehrnet.errors import UserError


def is_installed(package: str) -> bool:
    """Whether ``package`` can be imported, found without importing it."""
    return importlib.util.find_spec(package) is not None


def require(package: str, extra: str, purpose: str) -> None:
    """Refuse to go on without ``package``.

    Args:
        package: Name to import.
        extra: The extra of litehrnet that installs it.
        purpose: What needs it, as the beginning of the sentence.

    Raises:
        UserError: It is not installed.
    """
    if not is_installed(package):
        raise UserError(f"{purpose} needs {package}, which is not installed (pip install 'litehrnet[{extra}]')")
