"""Reuse of freed memory in the next step, instead of returning it to the operating system."""

import ctypes
import platform

# Parameters of mallopt, from glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4


def keep_freed_memory() -> bool:
    """Make this process keep the memory that it frees, if the C library is glibc.

    A training step on a CPU allocates the same hundreds of megabytes as the step before. By default, glibc returns
    large blocks to the system, which has to clear each page before it is used again. For a step of lite_hrnet_18 (32
    images of 96x128) these are 25,000 pages and 6 % of the processor time. The memory of the process stays at its peak
    until it ends.

    Returns:
        Whether the C library supports it.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, -1))
