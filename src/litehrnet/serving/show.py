"""Show a drawn video in the browser while it is being written."""

from pathlib import Path

from litehrnet.io.files import read_bytes
from litehrnet.serving import LOOPBACK
from litehrnet.serving.content import Document, LatestFrame
from litehrnet.serving.http import Site

_ICON = Path(__file__).parent / "page" / "icon.svg"
_PAGE = b"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>litehrnet</title>
<link rel="icon" href="/icon.svg">
<link rel="stylesheet" href="/show.css">
<img src="/film" alt="the newest frame">
</html>
"""
_STYLE = b"""html, body { height: 100%; margin: 0; background: #111; }
body { display: flex; align-items: center; justify-content: center; }
img { max-width: 100%; max-height: 100%; }
"""


def open_show(frames: LatestFrame, host: str = LOOPBACK, port: int = 0) -> Site:
    """Show the newest of ``frames`` on a page, until the site is closed; see ``Site`` for errors."""
    answers: dict[str, Document | LatestFrame] = {
        "/": Document(_PAGE, "text/html; charset=utf-8"),
        "/show.css": Document(_STYLE, "text/css; charset=utf-8"),
        "/icon.svg": Document(read_bytes(_ICON), "image/svg+xml"),
        "/film": frames,
    }
    return Site(answers, host, port)
