from __future__ import annotations

import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from analysis.figures.layout.style import Plot
from analysis.labels import slug
from analysis.report import page, report_items
from analysis.report.__main__ import main
from analysis.report.item import ReportItem
from analysis.report.report_items import REPORT_ITEMS
from analysis.tables.run_accounting import make_provenance
from tests.analysis.report.pages import data_of

ROOT = Path(__file__).parents[3]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def elsewhere(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of the same runs by a user with other settings at another time."""
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "matplotlibrc").write_text("font.size: 20\nsavefig.dpi: 50\n")
    environment = os.environ | {
        "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "MPLCONFIGDIR": str(folder),
        "SOURCE_DATE_EPOCH": "1",
    }  # fmt: skip
    command = [sys.executable, "-m", "analysis.report", "--from", str(runs), "--out", "out"]
    finished = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    return folder / "out"


@pytest.mark.slow
def test_same_runs_give_the_same_bytes_in_another_environment(rendered: Path, elsewhere: Path):
    first, again = contents(rendered), contents(elsewhere)
    assert list(again) == list(first)
    assert [name for name in first if first[name] != again[name]] == []


def test_tables_in_latex_have_only_characters_that_it_knows(rendered: Path):
    texts = {path.name: path.read_text() for path in rendered.rglob("*.tex")}
    assert len(texts) > 5
    assert [name for name, text in texts.items() if not text.isascii()] == []


def test_page_shows_the_counts(rendered: Path):
    html = (rendered / "index.html").read_text()
    for text in (
        "RuntimeError: out of &lt;memory&gt;", "never falls", "0123456789ab", "fedcba987654", "A processor",
        "MNIST (5,000 digits)", "393 runs (collection demo)",
        "388 of 393 planned runs have completed (3 failed, 1 running, 1 pending).",
        "1 run with float32 overflow: left out", "1 run diverged in training", "8 runs repeated",
    ):  # fmt: skip
        assert text in html
    assert "43 of 49 (1 overflow, 3 failed, 1 running, 1 pending); 1 diverged; 1 repeated" in str(data_of(html))


def test_page_embeds_figures_only_if_it_stays_small(rendered: Path):
    html = (rendered / "index.html").read_text()
    assert 'src="files/' not in html
    plots = [Plot(path.stem, "", "", 1.0, 1.0) for path in sorted((rendered / "files").glob("*.png"))]
    embedded = page._pictures(plots, rendered / "files", 1_500_000)
    assert len(embedded) == html.count('src="data:image/png;base64,') > 5
    assert page._pictures(plots, rendered / "files", 100_000) == {}


def test_long_items_of_a_large_study_are_made_on_request(
    few_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(report_items, "MOST_SERIES", 0)
    pages = []
    for arguments in ([], ["--all-figures"]):
        assert main(["--from", str(few_runs), "--out", str(tmp_path / "out"), *arguments]) == 0
        pages.append((tmp_path / "out" / "index.html").read_text())
        pdf = {path.stem for path in (tmp_path / "out" / "files").glob("*.pdf")}
        png = {path.stem for path in (tmp_path / "out" / "files").glob("*.png")}
        assert pdf == (png if arguments else set())
        assert ('.pdf"' in pages[-1]) == bool(arguments)
    assert [html.count(report_items.ON_REQUEST) for html in pages] == [2, 0]


class Links(HTMLParser):
    """Collects the links of a page, and checks that its tags are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.open: list[str] = []
        self.named: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]
        self.named |= {value or "" for name, value in attrs if name == "id"}
        if tag not in ("meta", "img", "link", "br", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_page_refers_only_to_files_of_the_report(rendered: Path):
    links = Links()
    links.feed((rendered / "index.html").read_text())
    assert links.open == []
    assert len(links.links) > 20
    within = {link.removeprefix("#") for link in links.links if link.startswith("#")}
    assert {"answer", "series", "missing", "methods", "table-i", "figure-1", "runs"} <= within <= links.named
    assert within <= {"answer", "series", "missing", "methods", *(slug(item.number) for item in REPORT_ITEMS)}
    files = [link for link in links.links if not link.startswith(("#", "data:"))]
    assert all((rendered / link).is_file() for link in files)
    linked = {*files, "index.html"}
    assert set(contents(rendered)) == linked


def relative_links(file: Path) -> list[str]:
    links = Links()
    links.feed(file.read_text())
    return [link for link in links.links if not link.startswith(("#", "data:", "https:"))]


def test_copy_of_the_page_has_all_figures_and_no_links_to_files(
    few_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(page, "_EMBEDDED", 0)
    out, copy = tmp_path / "out", tmp_path / "copy.html"
    assert main(["--from", str(few_runs), "--out", str(out), "--copy", str(copy)]) == 0
    assert len(relative_links(out / "index.html")) > 3
    assert relative_links(copy) == []
    html = copy.read_text()
    assert html.count('src="data:image/png;base64,') == len(list((out / "files").glob("*.png"))) > 0
    assert "Also as PDF, PNG, CSV." in html


def test_sample_report_has_no_dead_link():
    sample = ROOT / "docs" / "sample_report.html"
    assert "Which noise point is the weakest" in sample.read_text()
    assert [link for link in relative_links(sample) if not (sample.parent / link).is_file()] == []


def test_terminal_shows_the_midpoints_and_the_page(reported: tuple[Path, str]):
    folder, printed = reported
    lines = printed.splitlines()
    assert lines[-1] == str(folder / "index.html")
    heading = next(line for line in lines if line.startswith("BatchNorm"))
    (never,) = [line for line in lines if "3 relu1" in line and "with noise" in line]
    assert never.index("never falls") == heading.index("flags")
    assert "393 planned" in lines[0]


@pytest.fixture
def few_runs(fake_study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A series whose results lack the quantities of each noise point, which have large figures."""
    study = fake_study()
    study.series({}, 2.0, (0.0, 0.1, 0.5, 1.0, 2.0, 4.0, 10.0, 100.0))
    for document in study:
        document["result"].update(audit=None, mean_abs_weight=None)
    path = tmp_path_factory.mktemp("few") / "runs.jsonl.gz"
    study.save(path)
    return path


@pytest.fixture
def few_items(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make reports of a figure and the tables, which take little time."""
    few = [item for item in REPORT_ITEMS if item.number == "Figure 1" or not item.number.startswith("Figure")]
    monkeypatch.setattr(report_items, "REPORT_ITEMS", tuple(few))


@pytest.mark.usefixtures("few_items")
def test_report_replaces_only_a_report(
    few_runs: Path, rendered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("years of work")
    assert main(["--from", str(few_runs), "--out", str(out)]) == 1
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ")
    assert "not a report" in error
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "thesis.tex"]
    (out / "thesis.tex").unlink()
    (out / "index.html").write_text((rendered / "index.html").read_text())
    (out / "old file").write_text("")
    assert main(["--from", str(few_runs), "--out", str(out)]) == 0
    assert "old file" not in contents(out)
    assert "24 of 24" in (out / "index.html").read_text()


@pytest.mark.usefixtures("few_items")
@pytest.mark.parametrize("mark", ["walking_noise analysis.report", "walking_noise analysis.report.make_report"])
def test_report_of_an_earlier_version_is_replaced(few_runs: Path, tmp_path: Path, mark: str):
    out = tmp_path / "out"
    (out / "exhibits").mkdir(parents=True)
    (out / "index.html").write_text(f'<meta name="generator" content="{mark}">')
    assert main(["--from", str(few_runs), "--out", str(out)]) == 0
    assert {path.name for path in out.iterdir()} == {"files", "index.html"}


@pytest.mark.usefixtures("few_items")
def test_failure_leaves_the_last_report(
    few_runs: Path, rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    out = tmp_path / "out"
    last = (rendered / "index.html").read_bytes()
    out.mkdir()
    (out / "index.html").write_bytes(last)

    def fails(*_: object) -> str:
        raise RuntimeError("in the middle")

    monkeypatch.setattr(page, "render", fails)
    with pytest.raises(RuntimeError, match="in the middle"):
        main(["--from", str(few_runs), "--out", str(out)])
    assert contents(tmp_path) == {"out/index.html": last}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [(["--from", "nowhere.jsonl.gz"], "nowhere.jsonl.gz"), (["--from", "{runs}", "domo"], "no collection 'domo'")],
    ids=["no file", "no collection"],
)
def test_error_is_one_line(arguments, text, runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "out"
    assert main([*(argument.format(runs=runs) for argument in arguments), "--out", str(out)]) == 1
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ")
    assert text in error
    assert "\n" not in error
    assert list(tmp_path.iterdir()) == []


def test_no_collection_and_no_file_is_a_usage_error(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2
    assert "name at least one collection" in capsys.readouterr().err


def test_saved_runs_give_the_same_report(few_runs: Path, tmp_path: Path):
    first, second, copy = tmp_path / "first", tmp_path / "second", tmp_path / "copy.jsonl.gz"
    assert main(["--from", str(few_runs), "--out", str(first), "--save-runs", str(copy)]) == 0
    assert main(["--from", str(copy), "--out", str(second)]) == 0
    assert copy.read_bytes() == few_runs.read_bytes()
    assert contents(first) == contents(second)


def test_study_without_completed_runs(fake_study, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    study = fake_study()
    for seed in range(3):
        study.add({"noise.std": 1.0, "seed": seed}, "STAGED")
    study.add({"noise.point": "mapped", "noise.std": [1.0] * 8}, "PENDING")
    study.add({}, "FAILED")["config"]["noise"]["std"] = "lots"
    out = tmp_path / "out"
    assert main(["--from", str(study.save(tmp_path / "runs.jsonl.gz")), "--out", str(out)]) == 0
    html = (out / "index.html").read_text()
    assert "0 of 3 (3 staged)" in str(data_of(html))
    assert "Not available: needs completed runs" in html
    assert "Planned in seml_configs/table1/mnist.yaml" in html
    assert "5 planned" in capsys.readouterr().out


@pytest.mark.usefixtures("few_items")
def test_runs_with_refused_settings_only(fake_study, tmp_path: Path):
    study = fake_study()
    study.complete({}, 0.9)["config"]["noise"]["std"] = -1
    out = tmp_path / "out"
    assert main(["--from", str(study.save(tmp_path / "runs.jsonl.gz")), "--out", str(out)]) == 0
    assert "settings refused: noise.std" in (out / "index.html").read_text()


def test_a_single_figure_has_one_heading_and_an_empty_table_has_none(fake_study, tmp_path: Path):
    study = fake_study()
    for point in (1, 2):
        study.series({"noise.point": point}, 2.0, (0.1, 0.5, 1.0, 2.0, 4.0, 10.0, 100.0))
    out = tmp_path / "out"
    assert main(["--from", str(study.save(tmp_path / "runs.jsonl.gz")), "--out", str(out)]) == 0
    html = (out / "index.html").read_text()
    title = "MNIST (5,000 digits), MLP, additive noise: midpoint noise level at each point"
    assert f"<h2>Figures 10 and 11. {title}</h2>" in html
    assert f"<h3>{title}" not in html
    assert "<h2>Figure 7. Curves that fall in two steps" in html
    assert "chosen for 0 of 2 series with a fit. The CSV file contains" in html
    assert "<th>ΔAICc</th>" not in html
    assert "No run failed" in html
    assert "tabular" not in (out / "files" / "plateaus.tex").read_text()


def test_a_commit_keeps_the_mark_of_changed_code(fake_study, tmp_path: Path):
    study = fake_study()
    shared = {
        "version": "1.0",
        "data_checksum": "ab" * 32,
        "torch": "2.11.0",
        "cuda": None,
        "device": "A processor",
    }
    for seed, commit in enumerate(("0123456789" * 4, "0123456789" * 4 + "+", None)):
        study.complete({"noise.std": 1.0, "seed": seed}, 0.9, provenance={**shared, "commit": commit})
    (table,) = make_provenance(study.analyse(), tmp_path)
    assert table.texts["commit"].tolist() == ["012345678901", "012345678901+", "none"]
    assert set(table.texts["data checksum"]) == {"abababababab"}


def test_many_figures_of_an_item_are_folded(fake_study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(page, "_EMBEDDED", 0)
    plots = [Plot(f"plot-{number}", f"Plot {number}", "A caption.", 5.0, 2.0) for number in range(9)]
    item = ReportItem("Figure 0", "many", "runs", (), lambda study, folder: plots)
    study = fake_study()
    study.complete({"noise.std": 0.5}, 0.9)
    for plot in plots:
        (tmp_path / f"{plot.name}.png").write_bytes(b"a picture")
    text = page.render(study.analyse(), [(item, plots)], tmp_path)
    shown, folded = text.split("<summary>3 more figures</summary>")
    assert [f"files/plot-{number}.png" in shown for number in range(9)] == [True] * 6 + [False] * 3
    assert all(f"files/plot-{number}.png" in folded for number in (6, 7, 8))
