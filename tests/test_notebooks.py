"""The notebooks run from the first cell to the last, need no network, and are stored without outputs."""

import os
import re
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

PROJECT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.ipynb"))
SHOWN = {
    "first_photo_and_video": [
        "3 people, 17 keypoints (coco)",
        "out/movie.csv: 12 frames",
    ],
    "own_keypoints": ["60 photos, 60 objects, 240 labeled keypoints", "beak: ", "right_wing: "],
    "evaluate_and_export": ["evaluated:  3 people in 1 photos", "onnxruntime: AP 0.", "largest difference: 0.0"],
}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_stored_without_outputs_and_installs_only_what_is_missing(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell for cell in code if cell.outputs or cell.execution_count is not None] == []
    assert re.fullmatch(
        r'import importlib\.util\n\nif importlib\.util\.find_spec\("litehrnet"\) is None:\n'
        r'    %pip install --quiet "litehrnet\[[a-z,]+\]"',
        code[0].source,
    )


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{_commands(tmp_path)}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(PROJECT / "src"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    for cell in notebook.cells:
        if cell.cell_type == "code" and "\n!" in f"\n{cell.source}":
            cell.source += "\nassert _exit_code == 0"
    work = tmp_path / "work"
    work.mkdir()
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(work)}}).execute()
    text = "\n".join(_text(output) for cell in notebook.cells for output in cell.get("outputs", []))
    assert [words for words in SHOWN[path.stem] if words not in text] == []
    if path.stem == "own_keypoints":
        errors = [float(value) for value in re.findall(r": ([\d.]+) pixels from the label", text)]
        assert len(errors) == 4
        assert sum(errors) / 4 < 15  # of 96; a network that learned nothing is off by 30


def _commands(folder: Path) -> Path:
    """A folder with the command ``litehrnet``, which runs this checkout."""
    command = folder / "bin" / "litehrnet"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m litehrnet "$@"\n')
    command.chmod(0o755)
    return command.parent


def _text(output: Any) -> str:
    return str(output.get("text") or output.get("data", {}).get("text/plain", ""))
