"""Number of CPU threads that a process should use."""

import os
from pathlib import Path


def default_threads() -> int:
    """Return the number of threads for arithmetic: OMP_NUM_THREADS if it is set, else ``usable_cpus``."""
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(wanted) if wanted.isdecimal() and int(wanted) > 0 else usable_cpus()


def usable_cpus() -> int:
    """Return the number of CPUs that this process may use.

    Both the CPUs of the process (``taskset``) and the CPU time of its control group (containers) limit the number. A
    quota is rounded down: if one thread too many uses it up early, all threads wait for the next period.
    """
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota()
    return count if quota is None else max(1, min(count, int(quota)))


def cpu_info(name: str) -> list[str]:
    """Return what Linux reports about each CPU under a name such as ``model name``; empty on other systems."""
    pairs = [line.partition(":") for line in _text(Path("/proc/cpuinfo")).splitlines()]
    return [value.strip() for key, _, value in pairs if key.strip() == name]


def cpu_quota(root: Path = Path("/")) -> float | None:
    """Return the CPUs' worth of time that the control groups of this process allow, or None without a limit.

    Args:
        root: Folder of ``proc`` and ``sys``.
    """
    quotas = []
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
        # A limit of any parent group counts too. In containers, the group itself may be the top folder.
        own = top / group.strip("/")
        quotas += [_quota(folder) for folder in (own, *own.parents) if folder == top or top in folder.parents]
    return min((quota for quota in quotas if quota is not None), default=None)


def _quota(folder: Path) -> float | None:
    """Read the limit of one group: ``cpu.max`` of version 2, ``cpu.cfs_quota_us`` of version 1."""
    words = _text(folder / "cpu.max").split() or (
        _text(folder / "cpu.cfs_quota_us").split() + _text(folder / "cpu.cfs_period_us").split()
    )
    if len(words) != 2 or not (words[0].isdecimal() and words[1].isdecimal()) or "0" in words:
        return None  # "max" and -1 mean no limit
    return int(words[0]) / int(words[1])


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""
