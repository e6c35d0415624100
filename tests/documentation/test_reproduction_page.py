"""The page of published numbers beside ours is the one that its generator makes from the stored runs."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from tests.documentation.pages import ROOT


@pytest.mark.slow
def test_the_page_follows_from_the_stored_runs(tmp_path: Path) -> None:
    generator = runpy.run_path(str(ROOT / "docs" / "reproduction_page.py"))
    generator["main"](tmp_path / "page.md")
    assert (tmp_path / "page.md").read_text() == (ROOT / "docs" / "reproduction.md").read_text()
