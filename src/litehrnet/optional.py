"""Packages that are not part of the base install."""

import importlib.util

from litehrnet.errors import UserError


def is_installed(package: str) -> bool:
    """Return whether ``package`` can be imported, without importing it."""
    return importlib.util.find_spec(package) is not None


def require(package: str, extra: str, purpose: str) -> None:
    """Raise an error if ``package`` is not installed.

    Args:
        package: Import name.
        extra: The extra of litehrnet that installs it.
        purpose: Subject of the error message: what needs the package.

    Raises:
        UserError: The package is not installed.
    """
    if not is_installed(package):
        raise UserError(f"{purpose} needs {package}, which is not installed (pip install 'litehrnet[{extra}]')")
