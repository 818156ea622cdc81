import subprocess
import sys

CODE = """
import sys
sys.modules["litehrnet.training.fast._kernels"] = None
import litehrnet.training.start
from litehrnet.training.fast.fused import use_kernels
from litehrnet.models import create_network
print(use_kernels(create_network("naive_lite_hrnet_18")))
"""


def test_training_works_where_the_kernels_were_not_built() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("False\n", "")
