"""Page of the report in Chromium. Screenshots are kept in the folder ``.screenshots`` of the repository."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from analysis.report.item import ReportItem
from analysis.report.page import render
from analysis.tables.table_files import Table
from tests.analysis.report.pages import DESKTOP, SCREENSHOTS, Open

pytestmark = pytest.mark.browser

PHONE = {"width": 390, "height": 844}
SORTED_AFTER = 100  # milliseconds


def shoot(page: Page, name: str) -> None:
    page.screenshot(path=SCREENSHOTS / f"{name}.png")


def column(page: Page, name: str) -> list[str]:
    """Texts of the visible cells of a column of the table of series."""
    headings = page.locator("#series-table thead th").all_inner_texts()
    place = next(number for number, text in enumerate(headings) if text.startswith(name))
    return page.locator(f"#series-table tbody tr:not([hidden]) td:nth-child({place + 1})").all_inner_texts()


def midpoints(page: Page) -> list[float]:
    return [float(text.split()[0]) for text in column(page, "μ") if text[0].isdigit()]


def test_first_screen_names_the_weakest_point_and_its_certainty(open_page: Open):
    page = open_page()
    answer = page.locator("#answer")
    expect(answer).to_contain_text("the weakest noise point is")
    expect(answer).to_contain_text("With 95 % certainty")
    values = page.locator("#ranking-table tbody tr td:nth-of-type(2)").all_inner_texts()
    known = [float(text.split()[0]) for text in values if text[0].isdigit()]
    assert len(known) > 2
    assert known == sorted(known)
    shoot(page, "first-screen")


def test_choice_of_a_ranking(open_page: Open):
    page = open_page()
    choice = page.locator("#ranking-choice")
    last = choice.locator("option").last
    choice.select_option(value=last.get_attribute("value"))
    assert "at all points" in last.inner_text()
    expect(page.locator("#ranking-sentences")).to_contain_text("lowest midpoint")


def test_tables_are_sorted_by_a_click_and_by_the_keyboard(open_page: Open):
    page = open_page()
    heading = page.locator("#series-table thead th", has_text="μ")
    heading.click()
    expect(heading).to_have_attribute("aria-sort", "ascending")
    page.wait_for_timeout(SORTED_AFTER)
    assert len(midpoints(page)) > 5
    assert midpoints(page) == sorted(midpoints(page))
    page.locator("#series").scroll_into_view_if_needed()
    shoot(page, "sorted-table")
    heading.focus()
    page.keyboard.press("Enter")
    expect(heading).to_have_attribute("aria-sort", "descending")
    page.wait_for_timeout(SORTED_AFTER)
    assert midpoints(page) == sorted(midpoints(page), reverse=True)
    static = page.locator("#contrasts table.sortable").first
    headings = static.locator("thead th")
    place = headings.all_inner_texts().index("μ")
    headings.nth(place).click()
    expect(headings.nth(place)).to_have_attribute("aria-sort", "ascending")
    page.wait_for_timeout(SORTED_AFTER)
    cells = static.locator(f"tbody tr td:nth-child({place + 1})").all_inner_texts()
    assert len(cells) > 2
    assert list(map(float, cells)) == sorted(map(float, cells))


def test_rows_are_filtered_by_words_and_by_settings(open_page: Open):
    page = open_page()
    total = page.locator("#series-table tbody tr").count()
    expect(page.locator("#filter-count")).to_have_text(f"{total} of {total} series")
    page.fill("#filter", "relu1 INFERENCE")
    found = column(page, "point")
    assert 0 < len(found) < total
    assert set(found) == {"3 relu1"}
    assert set(column(page, "training")) == {"inference only"}
    expect(page.locator("#filter-count")).to_have_text(f"{len(found)} of {total} series")
    page.fill("#filter", "")
    page.get_by_role("combobox", name="training", exact=True).select_option(label="with noise")
    assert set(column(page, "training")) == {"with noise"}
    page.fill("#filter", "no such series")
    assert column(page, "point") == []


def test_curve_of_a_row_and_comparison_with_others(open_page: Open):
    page = open_page()
    expect(page.locator("#series-table tr.open")).to_have_count(1)
    row = page.locator("#series-table tbody tr").nth(4)
    row.locator("td").nth(1).click()
    title = page.locator("#curve-title")
    assert title.inner_text() in (row.locator("input").get_attribute("aria-label") or "")
    expect(page.locator("#plot canvas")).to_have_count(1)
    assert row.locator("td", has_text="[").first.inner_text() in page.locator("#curve-facts").inner_text()
    page.locator("#curve").scroll_into_view_if_needed()
    box = page.locator("#plot .u-over").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.locator("#plot .u-legend")).to_contain_text("fit 0.")
    shoot(page, "opened-curve")
    page.locator("#series-table tbody tr").nth(6).locator("input").focus()
    page.keyboard.press("Space")
    expect(page.locator("#series-table tr.open")).to_have_count(2)
    expect(page.locator("#plot .u-legend .u-series")).to_have_count(3)
    page.select_option("#curve-scale", "linear")
    expect(page.locator("#plot canvas")).to_have_count(1)
    page.click("#curve-clear")
    expect(page.locator("#series-table tr.open")).to_have_count(1)
    page.locator("#series-table tr.open input").uncheck()
    expect(title).to_have_text("No series is chosen")


def test_missing_and_failed_runs_of_a_series(open_page: Open):
    page = open_page()
    page.fill("#filter", "failed")
    page.locator("#series-table tbody tr:not([hidden]) td:nth-child(2)").first.click()
    page.locator("#curve details summary").click()
    values = page.locator("#curve-values")
    expect(values).to_contain_text("0 of 1")
    assert page.locator("#curve-values tbody tr").count() > 5


def test_at_most_seven_curves_at_a_time(open_page: Open):
    page = open_page()
    for number in range(9):
        page.locator("#series-table tbody tr").nth(number).locator("input").check()
    expect(page.locator("#series-table tr.open")).to_have_count(7)


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessibility_and_width(open_page: Open, viewport: dict[str, int], scheme: Any):
    page = open_page(viewport, color_scheme=scheme)
    for details in page.locator("details").all():
        details.evaluate("each => each.open = true")
    found = Axe().run(page)
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found.response["violations"]] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    name = "phone" if viewport is PHONE else scheme
    shoot(page, name if scheme == "light" else f"{name}-dark" if viewport is PHONE else "dark")


def test_no_table_is_cut_off_on_the_right(open_page: Open):
    page = open_page()
    too_wide = "all => all.filter(each => each.scrollWidth > each.clientWidth + 1).map(each => each.ariaLabel)"
    assert page.locator(".scroll, .rows").evaluate_all(too_wide) == []


def test_print(open_page: Open):
    page = open_page()
    pdf = page.pdf(path=SCREENSHOTS / "print.pdf", format="A4")
    assert pdf.startswith(b"%PDF")
    page.emulate_media(media="print")
    expect(page.locator(".filters").first).to_be_hidden()
    shoot(page, "print")


def test_page_works_without_the_folder_beside_it(open_page: Open, rendered: Path, tmp_path: Path):
    alone = tmp_path / "report.html"
    shutil.copy(rendered / "index.html", alone)
    page = open_page(file=alone)
    for details in page.locator("details").all():
        details.evaluate("each => each.open = true")
    for picture in page.locator("figure img").all():
        picture.scroll_into_view_if_needed()
        assert picture.evaluate("each => each.decode().then(() => each.naturalWidth)") > 100


@pytest.mark.slow
def test_long_table_is_shown_on_request(open_page: Open, fake_study: Any, tmp_path: Path):
    study = fake_study()
    study.complete({"noise.std": 0.5}, 0.9)
    texts = pd.DataFrame({"number": [str(100 - number) for number in range(100)], "text": ["a <b>"] * 100})
    table = Table("long", "A long table", "Its caption.", texts)
    item = ReportItem("Table 0", "long", "runs", (), lambda study, folder: [table])
    (tmp_path / "index.html").write_text(render(study.analyse(), [(item, [table])], tmp_path))
    page = open_page(file=tmp_path / "index.html")
    rows = page.locator("#table-long tbody tr")
    expect(rows).to_have_count(40)
    page.get_by_role("button", name="Show all 100 rows").click()
    expect(rows).to_have_count(100)
    expect(rows.last).to_contain_text("1a <b>")
    page.locator("#table-long th").first.click()
    expect(rows.first).to_contain_text("1a <b>")
