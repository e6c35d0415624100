"""Page of 3,000 series in Chromium: it stays small, and its table and curves work."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect

from analysis.midpoints.flags import Flag
from analysis.midpoints.study import FittedSeries, Study, analyse
from analysis.report.page import render
from analysis.report.report_items import REPORT_ITEMS
from analysis.runs.run_frame import to_frame
from analysis.tables.series_tables import MIDPOINTS, midpoint_texts
from analysis.tables.table_files import Table
from tests.analysis.report.pages import SCREENSHOTS, Open
from tests.benchmarks import large_study

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SERIES, FITTED, LARGEST = 3000, 32, 2_000_000


def varied(fitted: list[FittedSeries], random: np.random.Generator) -> Iterator[FittedSeries]:
    """Endlessly the series with other epochs, accuracies and midpoints; a fit of each would take minutes."""
    for epochs in itertools.count(1):
        for each in fitted:
            factor = random.uniform(0.5, 2)
            outcomes: dict[str, float | Flag] = {
                name: 10**log * factor for name, log in each.fit.repetitions.logs.items()
            }
            shifted = each.series.runs["accuracy"] + random.normal(0, 0.003, len(each.series.runs))
            runs = each.series.runs.assign(accuracy=shifted.clip(0, 1))
            series = replace(each.series, settings={**each.settings, "training.epochs": epochs}, runs=runs)
            fit = replace(each.fit, repetitions=replace(each.fit.repetitions, outcomes=outcomes))
            yield FittedSeries(series, fit, each.shape)


@pytest.fixture(scope="module")
def large_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    fitted = analyse(to_frame(large_study.documents(FITTED))).fitted_series
    chosen = list(itertools.islice(varied(fitted, np.random.default_rng(1)), SERIES))
    study = Study(chosen[0].series.runs, chosen, [])
    table = Table(MIDPOINTS, "Midpoints", "", midpoint_texts(chosen))
    item = next(each for each in REPORT_ITEMS if each.number == "All series")
    file = tmp_path_factory.mktemp("large") / "index.html"
    file.write_text(render(study, [(item, [table])], file.parent), encoding="utf-8")
    return file


def test_page_of_3000_series(large_page: Path, open_page: Open):
    size = large_page.stat().st_size
    assert LARGEST / 4 < size <= LARGEST
    start = time.monotonic()
    page = open_page(file=large_page)
    print(f"\npage of {SERIES} series: {size / 1e6:.2f} MB, opened in {time.monotonic() - start:.1f} s")
    count = page.locator("#filter-count")
    expect(count).to_have_text("3,000 of 3,000 series")
    page.fill("#filter", "fc2 INFERENCE")
    visible = page.locator("#series-table tbody tr:not([hidden])")
    found = visible.all_inner_texts()
    assert 0 < len(found) < SERIES
    assert all("fc2" in text and "inference only" in text for text in found)
    expect(count).to_have_text(f"{len(found):,} of 3,000 series")
    visible.first.locator("td").nth(1).click()
    expect(page.locator("#plot canvas")).to_have_count(1)
    expect(page.locator("#curve-title")).to_contain_text("fc2")
    page.screenshot(path=SCREENSHOTS / "large-page.png")
