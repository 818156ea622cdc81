"""What the tests of the page share."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from litehrnet.engine.programfile import write_program
from litehrnet.engine.webfile import rounded
from litehrnet.runtimes.native import compile_weights
from litehrnet.serving.liveview import MODULE


@pytest.fixture(scope="module")
def programs() -> dict[str, str]:
    """Where the browser and its driver are; make tools-system and make web install what is needed."""
    found = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    missing = [name for name, path in found.items() if path is None]
    if not (MODULE / "engine_relaxed.wasm").is_file():
        missing.append("the engine for browsers")
    if missing:
        reason = f"not installed: {', '.join(missing)} (make tools-system web)"
        if os.environ.get("LITEHRNET_REQUIRE_SHARED") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return {name: str(path) for name, path in found.items()}


@pytest.fixture(scope="session")
def rounded_program(small_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``small_weights`` as a program whose constants a file for browsers does not change."""
    program, info = compile_weights(small_weights)
    steps = tuple(
        replace(step, constants=tuple(rounded(c.astype("f4")) for c in step.constants)) for step in program.steps
    )
    path = tmp_path_factory.mktemp("rounded") / "small.native"
    write_program(path, replace(program, steps=steps), replace(info, input_size_wh=program.input_size_wh))
    return path
