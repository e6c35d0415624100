"""Writer of the report: reads runs, fits midpoints, and writes tables, figures and the page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from analysis.errors import AnalysisError
from analysis.midpoints.study import Study, analyse
from analysis.progress_bar import track
from analysis.report import page
from analysis.report.output_folder import FILES, check_replaceable, replaced
from analysis.report.report_items import make_all
from analysis.runs import documents
from analysis.runs.run_frame import to_frame


def make_report(
    collections: Sequence[str], out: Path, file: Path | None = None, save_runs: Path | None = None
) -> Study:
    """Read runs, analyse them, and replace the folder ``out`` by the report.

    Raises
    ------
    AnalysisError
        The runs cannot be read, or ``out`` is neither empty nor a report.
    """
    check_replaceable(out.resolve())
    source = documents.from_database(collections) if file is None else documents.from_file(file, collections)
    if save_runs is not None:
        source = documents.save(source, save_runs)
    runs = to_frame(track(source.documents, "runs read", source.total))
    if runs.empty:
        raise AnalysisError(f"{file} contains no runs; write it again with --save-runs")
    study = analyse(runs)
    with replaced(out) as folder:
        write(study, folder)
    return study


def write(study: Study, folder: Path) -> None:
    """Write the files and index.html of a study into an existing folder."""
    (folder / FILES).mkdir()
    report_items = make_all(study, folder / FILES)
    (folder / "index.html").write_text(page.render(study, report_items), encoding="utf-8")
