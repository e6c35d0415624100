"""Report of a study with all kinds of runs, and a browser to open pages."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from analysis.report.__main__ import main
from tests.analysis.conftest import FakeStudy, add_global, add_odd_ones, add_walking
from tests.analysis.report.pages import CHROMIUM, DESKTOP, SCREENSHOTS, Open


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All kinds of runs, and so every figure, but few noise points."""
    study = FakeStudy()
    add_global(study)
    add_walking(study, points=(0, 3, 7))
    add_odd_ones(study)
    study.keep_quantities_of(point=3)
    return study.save(tmp_path_factory.mktemp("runs") / "runs.jsonl.gz")


@pytest.fixture(scope="session")
def reported(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A report of these runs, and what the command printed."""
    folder, printed = tmp_path_factory.mktemp("report") / "out", io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert main(["--from", str(runs), "--out", str(folder)]) == 0
    return folder, printed.getvalue()


@pytest.fixture(scope="session")
def rendered(reported: tuple[Path, str]) -> Path:
    """The folder of the report."""
    return reported[0]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    SCREENSHOTS.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
        with playwright.chromium.launch(executable_path=CHROMIUM, args=as_root) as started:
            yield started


@pytest.fixture
def open_page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Open]:
    """Function that opens a page, by default that of ``rendered``, and waits for its scripts.

    Errors and requests of the page fail the test.
    """
    faults: list[str] = []
    contexts = []

    def open_it(viewport: Any = DESKTOP, file: Path | None = None, **options: Any) -> Page:
        context = browser.new_context(viewport=viewport, **options)
        contexts.append(context)
        page = context.new_page()
        page.on(
            "console", lambda message: faults.append(message.text) if message.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("requestfailed", lambda request: faults.append(request.url[:80]))
        page.on(
            "request",
            lambda request: None if request.url.startswith(("file:", "data:", "blob:")) else faults.append(request.url),
        )
        page.goto((file or request.getfixturevalue("rendered") / "index.html").as_uri())
        page.wait_for_selector("html[data-ready]")
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert faults == []
