import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from litehrnet import PoseEstimator, UserError
from litehrnet.weights import hub, zoo
from litehrnet.weights.zoo import DEFAULT_WEIGHTS


@pytest.fixture
def hub_address(small_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server with one file, in the protocol of Hugging Face's Hub, which huggingface_hub asks."""
    import huggingface_hub.constants

    content = small_weights.read_bytes()

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            known = self.path == "/ours/poses/resolve/v1/small.safetensors"
            self.send_response(200 if known else 404)
            if known:
                self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
                self.send_header("X-Repo-Commit", "0" * 40)
            else:
                self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", str(len(content) if known else 0))
            self.end_headers()
            if known and self.command == "GET":
                self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    yield address
    server.shutdown()
    server.server_close()
    thread.join()


def test_weights_on_the_hub_are_downloaded_and_opened(hub_address: str, small_weights: Path) -> None:
    estimator = PoseEstimator.from_pretrained("hf://ours/poses@v1/small.safetensors", threads=1, whole_image=True)
    assert estimator.runtime.input_size_wh == (64, 64)
    downloaded = Path(hub.fetch_pretrained("hf://ours/poses@v1/small.safetensors"))
    assert downloaded.read_bytes() == small_weights.read_bytes()


def test_a_file_that_the_hub_does_not_have_is_one_sentence(hub_address: str) -> None:
    with pytest.raises(UserError, match=r"hf://ours/poses@v1/other.onnx: cannot be downloaded \("):
        hub.fetch_pretrained("hf://ours/poses@v1/other.onnx")


@pytest.mark.parametrize("address", ["hf://ours/poses", "hf://ours//x.onnx", "hf://ours/poses/x.pth", "hf://"])
def test_an_address_without_a_file_of_weights_is_refused(address: str) -> None:
    with pytest.raises(UserError, match="not weights on the Hub"):
        hub.fetch_pretrained(address)


def test_the_hub_without_its_package_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("litehrnet.optional.is_installed", lambda package: False)
    with pytest.raises(UserError, match=r"needs huggingface_hub, .*litehrnet\[hub\]"):
        hub.fetch_pretrained("hf://ours/poses/x.onnx")


def test_a_file_is_refused_with_a_sentence_that_says_what_opens_it(small_weights: Path) -> None:
    with pytest.raises(UserError, match=r"small.*: a file \(expected a name .*; PoseEstimator\(...\) opens files\)"):
        PoseEstimator.from_pretrained(str(small_weights))


def test_bundled_weights_are_opened_and_others_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[zoo.Download] = []
    monkeypatch.setattr(hub, "fetch_network", asked.append)
    assert hub.fetch_pretrained(DEFAULT_WEIGHTS) == DEFAULT_WEIGHTS
    assert not asked
    assert hub.fetch_pretrained("rtmpose_t") == "rtmpose_t"
    assert [download.name for download in asked] == ["rtmpose_t"]
    with pytest.raises(UserError, match="unknown_net: neither a file nor a known network"):
        PoseEstimator.from_pretrained("unknown_net")
