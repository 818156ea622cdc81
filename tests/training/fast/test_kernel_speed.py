"""No kernel of training is slower than PyTorch's operators: a ratio within one process, for every instruction set."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from litehrnet.training.fast import kernels

pytestmark = pytest.mark.slow
ALLOWED = 1.6
"""Most that an operation may take, divided by PyTorch's time: 1, and room for noise."""
AS_ON_A_MACHINE_WITH = {
    "avx512": {},
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    "baseline": {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"},
}
"""Variables that hold PyTorch to an instruction set."""


@pytest.mark.parametrize("instruction_set", kernels.instruction_sets() if kernels.available else [])
def test_no_kernel_is_slower_than_the_operators_of_pytorch(instruction_set: str) -> None:
    environment = os.environ | AS_ON_A_MACHINE_WITH[instruction_set] | {"LITEHRNET_KERNELS": instruction_set}
    script = Path(__file__).with_name("kernel_speed_process.py")
    done = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True, check=True)
    ratios = json.loads(done.stdout)
    assert ratios
    assert {name: ratio for name, ratio in ratios.items() if ratio > ALLOWED} == {}
