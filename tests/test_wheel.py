"""What an install holds: from a wheel, and from the source distribution where there is no compiler."""

import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest
from tests.figure import draw_figure
from tools.check_wheel import NEEDED, problems_of

from litehrnet import write_image
from litehrnet.serving.liveview import MODULE


@pytest.mark.slow
def test_wheel_holds_the_package_its_types_the_recipes_and_the_engine(project: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", str(project), "--no-deps", "--no-build-isolation", "--no-index"]
    # Constraints of isolated builds, which make sets, are an error where the build is not isolated.
    environment = {name: value for name, value in os.environ.items() if name != "PIP_BUILD_CONSTRAINT"}
    subprocess.run([*command, "--wheel-dir", str(tmp_path)], check=True, capture_output=True, env=environment)
    (wheel,) = tmp_path.glob("litehrnet-*.whl")
    # Git ignores what make web compiles; CI runs it.
    is_compiled = (MODULE / "engine.wasm").exists() or os.environ.get("LITEHRNET_REQUIRE_SHARED") == "1"
    unwanted = [problem for problem in problems_of(wheel) if is_compiled or ".wasm is missing" not in problem]
    assert unwanted == []
    names = set(zipfile.ZipFile(wheel).namelist())
    recipes = [name for name in names if name.startswith("litehrnet/configs/top_down/")]
    assert len(recipes) == 31
    assert "litehrnet/photos/astronaut.jpg" in names
    assert {"litehrnet/serving/page/index.html", "litehrnet/serving/page/app.js"} <= names
    assert {f"litehrnet/serving/web/{path.name}" for path in MODULE.iterdir()} <= names
    # Installed from it, outside the checkout, recipes are found by name and the engine is there.
    folder = tmp_path / "installed"
    zipfile.ZipFile(wheel).extractall(folder)
    code = (
        f"import sys; sys.path.insert(0, {str(folder)!r}); import litehrnet; print(litehrnet.__file__); "
        "from litehrnet.config.recipes import read_recipe; print(read_recipe('litehrnet_18_coco_256x192').variant); "
        "from litehrnet.engine import _native; print(_native.__file__)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True)
    package, variant, native = done.stdout.split()
    assert (package, variant) == (str(folder / "litehrnet" / "__init__.py"), "lite_hrnet_18")
    assert Path(native).parent == folder / "litehrnet" / "engine"


@pytest.fixture
def source_distribution(project: Path, tmp_path: Path) -> Path:
    code = "import sys; from scikit_build_core.build import build_sdist; build_sdist(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=project, check=True, capture_output=True)
    (archive,) = tmp_path.glob("litehrnet-*.tar.gz")
    return archive


@pytest.mark.slow
def test_source_distribution_holds_the_engine_and_nothing_that_was_built(source_distribution: Path) -> None:
    with tarfile.open(source_distribution) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]
    assert {name.split("/")[0] for name in names} == {
        *("CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md", "pyproject.toml"),
        *("benchmarks", "configs", "csrc", "docs", "examples", "notebooks", "src", "tests", "tools"),
    }
    assert {"csrc/CMakeLists.txt", "csrc/cpu.h", "csrc/python/engine.cpp", "csrc/engine/kernels/stem.h"} <= set(names)
    assert not [name for name in names if name.endswith((".so", ".a", ".o", ".pyc", "CMakeCache.txt"))]


@pytest.mark.slow
def test_without_a_compiler_the_package_is_installed_and_runs_on_numpy(
    source_distribution: Path, small_weights: Path, tmp_path: Path
) -> None:
    """The build's own requirements come from pip's index, CMake among them: nothing else is on the PATH."""
    environment = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    python = environment / "bin" / "python"
    # The packages of this environment, but not what is installed as editable in it.
    (site,) = environment.glob("lib/python3*/site-packages")
    (site / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    hidden = {"PATH", "CC", "CXX", "PYTHONPATH"}
    variables = {name: value for name, value in os.environ.items() if name not in hidden}
    variables["PATH"] = str(environment / "bin")

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        command = [str(python), *map(str, words)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=variables, check=False)

    done = run("-m", "pip", "install", "--no-deps", source_distribution)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "native not built" in run("-m", "litehrnet", "--version").stdout
    assert run("-c", "import litehrnet.training.start").returncode == 0
    photo = tmp_path / "figure.png"
    write_image(photo, draw_figure((120, 160))[0])
    predict = ("-m", "litehrnet", "predict", photo, "--whole-image", "--out-dir", tmp_path / "out", "--weights")
    done = run(*predict, small_weights)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("runtime: numpy ")
    assert done.stderr.endswith("available): running on numpy, which is several times slower\n")
    assert done.stderr.count("\n") == 1
    assert run("-m", "litehrnet", "demo", "--out-dir", tmp_path / "demo").returncode == 0
    done = run(*predict, small_weights, "--runtime", "native")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "the native engine was not built" in done.stderr


def test_wheel_without_the_engine_is_refused(tmp_path: Path) -> None:
    wheel = tmp_path / "litehrnet-0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in NEEDED - {"litehrnet/py.typed"}:
            archive.writestr(name, b"")
        archive.writestr("csrc/cpu.h", b"")
    assert problems_of(wheel) == [
        "litehrnet/py.typed is missing",
        "0 files litehrnet/engine/_native.* (expected one)",
        "0 files litehrnet/training/fast/_kernels.* (expected one)",
        "csrc/cpu.h is not a part of the package",
    ]
