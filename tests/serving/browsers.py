"""Debian's Chromium without a screen, with a film in the place of the camera."""

import base64
import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from litehrnet.io.images import encode_image

Browser = webdriver.Chrome


@contextlib.contextmanager
def open_page(programs: dict[str, str], url: str, frame: NDArray[np.uint8], folder: Path) -> Iterator[Browser]:
    """The live view, opened, with the network loaded.

    Args:
        programs: Paths of the browser and its driver.
        url: Address of the page.
        frame: uint8 (H, W, 3), RGB: what the camera shows.
        folder: Folder for the camera's film.
    """
    film = folder / "film.mjpeg"
    film.write_bytes(encode_image(frame, ".jpg", 95) * 3)
    options = webdriver.ChromeOptions()
    options.binary_location = programs["chromium"]
    options.page_load_strategy = "eager"  # a page with a film in it is never loaded to its end
    for argument in (
        "headless=new",
        "no-sandbox",  # which root cannot have
        "disable-dev-shm-usage",  # which is small in containers
        "disable-gpu",
        "window-size=1400,1000",
        "use-fake-ui-for-media-stream",
        "use-fake-device-for-media-stream",
        f"use-file-for-fake-video-capture={film}",
    ):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    opened = webdriver.Chrome(options, Service(programs["chromedriver"]))
    try:
        opened.set_script_timeout(60)
        opened.get(url)
        wait_for(lambda: text_of(opened, "running").startswith("WebAssembly"))
        yield opened
    finally:
        opened.quit()


def wait_for(happens: Callable[[], bool]) -> None:
    """Look again and again for up to a minute."""
    for _ in range(600):
        if happens():
            return
        time.sleep(0.1)
    raise AssertionError("it did not happen")


def text_of(browser: Browser, name: str) -> str:
    return browser.find_element(By.ID, name).text


def run_script(browser: Browser, code: str, given: Any = None) -> Any:
    """The value of JavaScript that may wait, may import the page's modules and sees ``given``."""
    script = f"""
        const [given, done] = arguments;
        (async () => {{{code}}})().then(done, (error) => done(String(error)));
    """
    return browser.execute_async_script(script, given)


def as_base64(array: NDArray[Any]) -> str:
    return base64.b64encode(array.tobytes()).decode()
