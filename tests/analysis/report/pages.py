"""Data inside a page of the report, and Chromium to open it."""

from __future__ import annotations

import base64
import gzip
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

SCREENSHOTS = Path(__file__).parents[3] / ".screenshots"
DESKTOP = {"width": 1366, "height": 900}

Open = Callable[..., Page]
"""Function that opens a page: ``(viewport, file, **options of the browser's context)``."""


def data_of(html: str) -> Any:
    """Data that the scripts of a page read."""
    found = re.search(r'id="data">([^<]+)<', html)
    assert found is not None
    return json.loads(gzip.decompress(base64.b64decode(found[1])))
