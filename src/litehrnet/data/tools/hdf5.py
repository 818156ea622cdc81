"""Opening of the HDF5 files of other tools."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from litehrnet.errors import UserError
from litehrnet.optional import require


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open a file for reading.

    Raises:
        UserError: h5py is missing, or the file is missing or damaged, also where its parts are read later.
    """
    require("h5py", "tools", f"{path}: reading this format")
    import h5py

    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError, MemoryError) as error:
        raise UserError(f"{path}: cannot be read as HDF5 ({error})") from error
