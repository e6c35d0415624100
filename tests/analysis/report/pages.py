"""Data inside a page of the report, and Chromium to open it."""

from __future__ import annotations

import base64
import gzip
import json
import re
import shutil
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def data_of(html: str) -> Any:
    """Data that the scripts of a page read."""
    found = re.search(r'id="data">([^<]+)<', html)
    assert found is not None
    return json.loads(gzip.decompress(base64.b64decode(found[1])))
