"""The compiled kernels of training steps on a CPU: whether they were built, and on which instruction set they run."""

from typing import Any

from litehrnet.errors import UserError

compiled: Any
"""The compiled module ``_kernels``; None if it was not built."""

try:
    from litehrnet.training.fast import _kernels as compiled
except ImportError:  # the install could not build it
    compiled = None

available = compiled is not None


def instruction_set() -> str:
    """Name of the instruction set that the kernels run on: the best one, or the one that LITEHRNET_KERNELS names.

    Training has no kernels for ``avx512bf16`` and ``plain``: it then uses the nearest ones.

    Raises:
        UserError: LITEHRNET_KERNELS names an instruction set that this machine does not have.
    """
    try:
        return str(compiled.name())
    except ValueError as error:
        raise UserError(str(error)) from error


def instruction_sets() -> list[str]:
    """Names of this machine's instruction sets that there are kernels for, the best first."""
    names: list[str] = compiled.instruction_sets()
    return names


def use(instruction_set: str) -> None:
    """Run all further operations of this process on another instruction set, to compare or to measure.

    Raises:
        ValueError: This machine does not have that instruction set.
    """
    compiled.use(instruction_set)
