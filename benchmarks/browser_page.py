"""Bytes and seconds of the page of litehrnet serve in Debian's Chromium, until it is ready and from click to skeletons.

Usage: python benchmarks/browser_page.py [ROUNDS]
"""

import os
import shutil
import statistics
import sys
import time

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from litehrnet.keypoints.skeletons import COCO
from litehrnet.processors import default_threads
from litehrnet.serving.http import Site
from litehrnet.serving.liveview import open_model, open_page_detector, page_answers
from litehrnet.weights.zoo import DEFAULT_WEIGHTS

TRANSFERRED = """
    const entries = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
    return entries.reduce((sum, entry) => sum + entry.transferSize, 0);
"""


def measure(url: str, name: str) -> tuple[float, float, float, float]:
    """Return seconds until the network is ready and from click to skeletons, and MB of a first load and a reload."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    for argument in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "disable-gpu", "window-size=1400,1000"):
        options.add_argument(f"--{argument}")
    browser = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
    try:
        started = time.perf_counter()
        browser.get(url)
        _wait(browser, "running", name)
        ready = time.perf_counter() - started
        started = time.perf_counter()
        browser.find_element(By.ID, "example").click()
        _wait(browser, "count", "3 people.")
        found = time.perf_counter() - started
        first = browser.execute_script(TRANSFERRED)
        browser.refresh()
        _wait(browser, "running", name)
        return ready, found, first / 1e6, browser.execute_script(TRANSFERRED) / 1e6
    finally:
        browser.quit()


def _wait(browser: webdriver.Chrome, element: str, start: str) -> None:
    while not browser.find_element(By.ID, element).text.startswith(start):
        time.sleep(0.005)


def main() -> None:
    """Measure and print medians and minima."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with Site(page_answers(open_model(DEFAULT_WEIGHTS), open_page_detector(None, COCO)), port=0) as site:
        results = [measure(site.url, "WebAssembly") for _ in range(rounds)]
    print(f"{default_threads()} threads, load {os.getloadavg()[0]:.1f}, {rounds} rounds: median (minimum)")
    names = ("seconds until ready", "seconds from click to skeletons", "MB, first load", "MB, reload")
    for name, values in zip(names, zip(*results, strict=True), strict=True):
        print(f"{name}: {statistics.median(values):.2f} ({min(values):.2f})")


if __name__ == "__main__":
    main()
