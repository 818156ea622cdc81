"""The one OpenVINO core of this process."""

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openvino import Core


@cache
def openvino_core() -> "Core":
    """The core that everything here shares, never given back.

    Every core with a CPU plugin puts a stack for signal handlers into its thread and, when it is destroyed, the one
    that it found there before. Of two cores that are destroyed in the order in which they were made, the second puts
    back the first one's stack, which is unmapped by then: the next signal with a handler, such as Ctrl-C, ends the
    process (OpenVINO 2026.4).
    """
    import openvino

    return openvino.Core()
