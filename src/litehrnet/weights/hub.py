"""Weights by name that are downloaded if they are missing, also from Hugging Face's Hub."""

from pathlib import Path

from litehrnet.errors import UserError
from litehrnet.optional import require
from litehrnet.weights.zoo import bundled_files, fetch_network, find_download

HUB = "hf://"
HUB_SUFFIXES = (".safetensors", ".onnx")
"""Kinds of files that are taken from the Hub: none of them holds code."""


def fetch_pretrained(name: str) -> str | Path:
    """Return what ``PoseEstimator`` opens: the name of weights that are there now, or a downloaded file.

    Raises:
        UserError: The name is unknown or that of a file, huggingface_hub is not installed, or the download fails.
    """
    if name.startswith(HUB):
        return _from_hub(name)
    if Path(name).is_file():
        raise UserError(f"{name}: a file (expected a name that litehrnet models lists; PoseEstimator(...) opens files)")
    if not any(path.stem == name for path in bundled_files()):
        fetch_network(find_download(name))
    return name


def _from_hub(address: str) -> Path:
    parts = address.removeprefix(HUB).split("/", 2)
    if len(parts) < 3 or not all(parts) or Path(parts[2]).suffix not in HUB_SUFFIXES:
        raise UserError(f"{address}: not weights on the Hub (expected hf://ORGANIZATION/REPOSITORY/FILE.safetensors)")
    require("huggingface_hub", "hub", address)
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    repository, _, revision = parts[1].partition("@")
    try:
        return Path(hf_hub_download(f"{parts[0]}/{repository}", parts[2], revision=revision or None))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()
        raise UserError(f"{address}: cannot be downloaded ({reason[0] if reason else type(error).__name__})") from error
