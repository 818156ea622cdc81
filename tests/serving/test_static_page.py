"""The page as files, on a server that knows nothing of it: in a folder, in a frame of another page, with films."""

import functools
import http.server
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from selenium.webdriver.common.by import By
from tests.serving.browsers import Browser, open_page, run_script, text_of, wait_for

from litehrnet import read_image
from litehrnet.keypoints.skeletons import COCO
from litehrnet.serving.liveview import GROUP_EXAMPLE, open_model, open_page_detector, write_page
from litehrnet.weights.zoo import DEFAULT_WEIGHTS

pytestmark = pytest.mark.slow

PEOPLE = "3 people."


class _Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a server with the page in the folder ``pose``, and a page that embeds it."""
    folder = tmp_path_factory.mktemp("host")
    write_page(folder / "pose", open_model(DEFAULT_WEIGHTS), open_page_detector(None, COCO))
    (folder / "embedding.html").write_text("<!doctype html><iframe src='pose/' width='1200' height='900'></iframe>")
    handler = functools.partial(_Files, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def browser(programs: dict[str, str], host: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    height, width = (side // 4 * 4 for side in read_image(GROUP_EXAMPLE).shape[:2])
    frame = np.ascontiguousarray(read_image(GROUP_EXAMPLE)[:height, :width])
    with open_page(programs, f"{host}pose/", frame, tmp_path_factory.mktemp("camera")) as opened:
        yield opened


def test_it_finds_everyone_without_isolation(browser: Browser, host: str) -> None:
    assert browser.execute_script("return crossOriginIsolated") is False
    browser.find_element(By.ID, "example").click()
    wait_for(lambda: text_of(browser, "count") == PEOPLE)
    code = "return performance.getEntriesByType('resource').map((entry) => [entry.name, entry.transferSize])"
    resources = browser.execute_script(code)
    assert all(name.startswith((f"{host}pose/", "blob:")) for name, _ in resources)
    assert 4e6 < sum(size for _, size in resources) < 5e6


def test_what_is_shown_is_recorded_and_the_recording_is_opened_as_a_film(browser: Browser) -> None:
    camera, record = browser.find_element(By.ID, "camera"), browser.find_element(By.ID, "record")
    camera.click()
    wait_for(record.is_displayed)
    code = """
        window.saved = null;
        HTMLAnchorElement.prototype.click = function () {
            fetch(this.href).then((answer) => answer.blob()).then((blob) => (window.saved = [this.download, blob]));
        };
    """
    run_script(browser, code)
    record.click()
    assert record.text == "Stop and save"
    wait_for(lambda: text_of(browser, "count") == PEOPLE)
    record.click()
    wait_for(lambda: bool(browser.execute_script("return window.saved !== null")))
    name, size = browser.execute_script("return [window.saved[0], window.saved[1].size]")
    assert name in ("litehrnet.webm", "litehrnet.mp4")
    assert size > 1000
    code = """
        const film = new DataTransfer();
        film.items.add(new File([window.saved[1]], "film.webm", { type: window.saved[1].type }));
        dispatchEvent(new DragEvent("drop", { dataTransfer: film, cancelable: true }));
    """
    run_script(browser, code)
    wait_for(lambda: browser.find_element(By.ID, "camera").get_attribute("aria-pressed") == "false")
    wait_for(lambda: text_of(browser, "count") == PEOPLE)
    assert record.is_displayed()
    assert not browser.find_element(By.ID, "error").is_displayed()


def test_a_page_of_others_may_embed_it(browser: Browser, host: str) -> None:
    browser.get(f"{host}embedding.html")
    browser.switch_to.frame(browser.find_element(By.TAG_NAME, "iframe"))
    wait_for(lambda: text_of(browser, "running").startswith("WebAssembly"))
    browser.switch_to.default_content()
