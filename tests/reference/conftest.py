"""Comparisons with the published system, and the trained weights that its figures were measured with."""

from collections.abc import Callable
from pathlib import Path

import pytest

_MEASURED: list[tuple[str, float, float]] = []


@pytest.fixture
def measured() -> Callable[[str, float, float], None]:
    """Asserts that a difference is allowed, and keeps it for the table at the end of the run (and the README's)."""

    def record(what: str, difference: float, allowed: float) -> None:
        _MEASURED.append((what, difference, allowed))
        assert difference <= allowed, what

    return record


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _MEASURED:
        terminalreporter.section("measured equality with the published system")
        for what, difference, allowed in sorted(_MEASURED):
            terminalreporter.line(f"{what:75} {difference:8.1e}  (allowed {allowed:.0e})")


@pytest.fixture(scope="session")
def reference_weights(shared: Path) -> Path:
    return shared / "reference" / "tinypose_wider_naive_litehrnet_18_coco_256x192.pth"


@pytest.fixture(scope="session")
def reference_onnx(reference_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reference weights, exported."""
    from litehrnet.export.onnx import export_onnx

    path = tmp_path_factory.mktemp("reference") / "reference.onnx"
    export_onnx(reference_weights, path)
    return path
