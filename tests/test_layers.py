"""Who may import whom (docs/architecture.md): a room imports rooms to its right only; torch has its own rooms."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

# From left to right; rooms of one row do not import each other, but for the last row, which is one floor.
ROWS = [
    {"cli"},
    {"training", "bench", "serving", "integrations"},
    {"evaluation", "export", "video"},
    {"inference", "config"},
    {"detectors"},
    {"runtimes", "data"},
    {"models", "engine"},
    {"io", "weights", "keypoints", "segmentation", "detection", "drawing", "results"}
    | {"arrays", "poses", "variants", "optional", "processors", "errors", "published"},  # single files
]
ROW_OF = {room: row for row, rooms in enumerate(ROWS) for room in rooms}
# What a module of the last row, or of the engine, may import at module level besides the standard library.
BASE_PACKAGES = {"numpy"}
TORCH_ROOMS = {"models", "training"}


def _modules(project: Path) -> list[tuple[str, Path]]:
    package = project / "src" / "litehrnet"
    files = [path for path in package.rglob("*.py") if path.parent != package or path.stem[0] != "_"]
    return [(path.relative_to(package).parts[0].removesuffix(".py"), path) for path in files]


def _imports(path: Path, *, at_module_level: bool) -> set[str]:
    """Dotted names imported in a file: anywhere, or outside functions and TYPE_CHECKING blocks."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if at_module_level else ast.walk(tree)
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def test_every_room_has_its_place(project: Path) -> None:
    assert {room for room, _ in _modules(project)} == set(ROW_OF)


def test_rooms_import_only_rooms_to_their_right(project: Path) -> None:
    wrong = []
    for room, path in _modules(project):
        for name in _imports(path, at_module_level=False):
            parts = name.split(".")
            if parts[0] != "litehrnet" or len(parts) == 1 or parts[1] == room:
                continue
            last = len(ROWS) - 1
            if ROW_OF[parts[1]] < ROW_OF[room] or (ROW_OF[parts[1]] == ROW_OF[room] != last):
                wrong.append(f"{path.name} ({room}) imports {name}")
    assert not wrong


def test_torch_is_imported_at_module_level_in_models_and_training_only(project: Path) -> None:
    for room, path in _modules(project):
        packages = {name.split(".")[0] for name in _imports(path, at_module_level=True)}
        assert room in TORCH_ROOMS or "torch" not in packages, path


def test_base_rooms_and_the_engine_import_numpy_and_the_standard_library_only(project: Path) -> None:
    for room, path in _modules(project):
        if ROW_OF[room] == len(ROWS) - 1 or room == "engine":
            packages = {name.split(".")[0] for name in _imports(path, at_module_level=True)}
            foreign = packages - set(sys.stdlib_module_names) - BASE_PACKAGES - {"litehrnet"}
            assert not foreign, path


@pytest.mark.parametrize(
    "module", ["litehrnet", "litehrnet.cli.main", "litehrnet.inference.estimator", "litehrnet.runtimes"]
)
def test_importing_does_not_load_torch(module: str) -> None:
    code = f"import sys, {module}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_importing_the_package_loads_no_other_package() -> None:
    code = "import sys; before = set(sys.modules); import litehrnet; print(sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "numpy" not in done.stdout
    assert "cv2" not in done.stdout
