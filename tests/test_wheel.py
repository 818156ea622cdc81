import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest


@pytest.mark.slow
def test_wheel_holds_the_package_its_types_and_the_recipes(project: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", str(project), "--no-deps", "--no-build-isolation", "--no-index"]
    # Constraints of isolated builds, which make sets, are an error where the build is not isolated.
    environment = {name: value for name, value in os.environ.items() if name != "PIP_BUILD_CONSTRAINT"}
    subprocess.run([*command, "--wheel-dir", str(tmp_path)], check=True, capture_output=True, env=environment)
    (wheel,) = tmp_path.glob("litehrnet-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "litehrnet/py.typed" in names
    recipes = [name for name in names if name.startswith("litehrnet/configs/top_down/")]
    assert len(recipes) == 10
    assert not [name for name in names if name.startswith(("tests/", "tools/", "src/"))]
    # Installed from it, outside the checkout, recipes are found by name.
    folder = tmp_path / "installed"
    zipfile.ZipFile(wheel).extractall(folder)
    code = (
        f"import sys; sys.path.insert(0, {str(folder)!r}); import litehrnet; print(litehrnet.__file__); "
        "from litehrnet.config.recipes import read_recipe; print(read_recipe('litehrnet_18_coco_256x192').variant)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout.split() == [str(folder / "litehrnet" / "__init__.py"), "lite_hrnet_18"]
