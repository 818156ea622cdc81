import subprocess
import sys

import pytest

# Frees and allocates 40 MB again and again, which glibc maps anew each time by default; in a process of its own, since
# the setting is for good.
FAULTS = """
import resource, sys, torch
from litehrnet.training.memory import keep_freed_memory
done = keep_freed_memory() if sys.argv[1] == "keep" else None
for count in range(12):
    if count == 6:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(10 << 20)
print(done, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _run(argument: str) -> list[str]:
    command = [sys.executable, "-c", FAULTS, argument]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.skipif(sys.platform != "linux", reason="page faults are counted as Linux counts them")
def test_freed_memory_is_used_again_without_page_faults() -> None:
    done, faults = _run("keep")
    if done == "False":
        pytest.skip("the C library is not glibc")
    assert done == "True"
    assert int(faults) < int(_run("leave")[1]) / 2
