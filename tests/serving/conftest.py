"""What the tests of the page share."""

import os
import shutil

import pytest

from litehrnet.serving.liveview import ONNXRUNTIME_WEB


@pytest.fixture(scope="module")
def programs() -> dict[str, str]:
    """Where the browser and its driver are; make tools-system and make web install what is needed."""
    found = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    missing = [name for name, path in found.items() if path is None]
    if not (ONNXRUNTIME_WEB / "package.json").is_file():
        missing.append("ONNX Runtime Web")
    if missing:
        reason = f"not installed: {', '.join(missing)} (make tools-system web)"
        if os.environ.get("LITEHRNET_REQUIRE_SHARED") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return {name: str(path) for name, path in found.items()}
