"""Report of a study, with its command line.

    python -m analysis.report COLLECTION… [--out DIR] [--from FILE]… [--save-runs FILE] [--copy FILE]

Reads the runs of the collections from the database, or from files that ``--save-runs`` wrote. Writes DIR/index.html
and the folder DIR/files with figures and tables. The same runs give the same bytes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

from walking_noise.process_setup import closed_pipe_ignored, set_up

if __name__ == "__main__":
    set_up()

import pandas as pd

from analysis.errors import AnalysisError
from analysis.midpoints.study import Study, analyse
from analysis.processes import usable_cores
from analysis.report import page
from analysis.report.garbage_collection import garbage_collection_paused
from analysis.report.methods import shared_settings
from analysis.report.output_folder import FILES, check_replaceable, replaced
from analysis.report.report_items import MOST_SERIES, make_all
from analysis.runs import documents, parquet_file
from analysis.runs.documents import Source
from analysis.runs.reading import read as read_frame
from analysis.tables import series_tables
from analysis.tables.run_accounting import state_counts

ENDINGS = (".jsonl.gz", parquet_file.ENDING)
"""Endings of the names of files of runs."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(arguments)
    if not options.collections and not options.files:
        _parser().error("no runs to read: name at least one collection, or a file of runs with --from")
    try:
        study = make_report(
            options.collections, options.out, options.files, options.save_runs, options.copy,
            all_figures=options.all_figures,
        )  # fmt: skip
    except (AnalysisError, ChildProcessError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; no report was written", file=sys.stderr)
        return 130
    with closed_pipe_ignored():
        print(_summary(study))
        print(f"\n{options.out.resolve() / 'index.html'}")
    return 0


def make_report(
    collections: Sequence[str], out: Path, files: Sequence[Path] = (), save_runs: Path | None = None,
    copy: Path | None = None, *, all_figures: bool = False,
) -> Study:  # fmt: skip
    """Read runs, analyse them, and replace the folder ``out`` by the report. The file ``copy`` gets its page, too.

    Raises
    ------
    AnalysisError
        The runs cannot be read, or ``out`` is neither empty nor a report.
    """
    check_replaceable(out.resolve())
    source = documents.from_files(files, collections) if files else documents.from_database(collections)
    runs, checksum = read(source, save_runs)
    if runs.empty:
        raise AnalysisError(f"{', '.join(map(str, files))} contains no runs; write it again with --save-runs")
    study = replace(analyse(runs, usable_cores()), checksum=checksum)
    with replaced(out) as folder:
        write(study, folder, copy, all_figures=all_figures)
    return study


def read(source: Source, save_runs: Path | None = None) -> tuple[pd.DataFrame, str]:
    """Runs of a source, a row each, and the checksum of their documents. The file ``save_runs`` gets the runs, too.

    Raises
    ------
    AnalysisError
        The ending of the file is unknown, or the documents cannot be read.
    """
    if save_runs is not None and not save_runs.name.endswith(ENDINGS):
        raise AnalysisError(f"--save-runs {save_runs}: unknown ending; allowed: {' and '.join(ENDINGS)}")
    with garbage_collection_paused(), _writable(save_runs), tempfile.TemporaryDirectory() as folder:
        to_parquet = save_runs is not None and save_runs.suffix == parquet_file.ENDING
        lines = Path(folder) / "runs.jsonl.gz" if to_parquet else save_runs
        copied = source if lines is None else documents.save(source, lines)
        runs, checksum = read_frame(copied, usable_cores())
        if to_parquet and save_runs is not None and lines is not None:
            parquet_file.write(runs, documents.lines(lines), save_runs)
    return runs, checksum


@contextmanager
def _writable(file: Path | None, option: str = "--save-runs") -> Iterator[None]:
    """Context in which an error of the file system becomes one line about ``file``."""
    try:
        yield
    except OSError as error:
        raise AnalysisError(f"cannot write {file}: {error.strerror or error}; choose another {option}") from None


def write(study: Study, folder: Path, copy: Path | None = None, *, all_figures: bool = False) -> None:
    """Write the files and index.html of a study into an existing folder, and its page without links to ``copy``."""
    (folder / FILES).mkdir()

    @cache
    def texts() -> page.Texts:
        with garbage_collection_paused():
            return page.Texts.of(study)

    report_items = make_all(study, folder / FILES, all_figures=all_figures, meanwhile=texts)
    with garbage_collection_paused():
        html = page.render(study, report_items, folder / FILES, texts())
    (folder / "index.html").write_text(html, encoding="utf-8")
    if copy is not None:
        with _writable(copy, "--copy"):
            copy.write_text(page.render(study, report_items, folder / FILES, texts(), alone=True), encoding="utf-8")


def _summary(study: Study) -> str:
    """Plain text with the states of the runs, the settings shared by all series, and the midpoints."""
    total = state_counts(study.runs).drop(columns="collection").sum()
    states = ", ".join(f"{total[state]} {state}" for state in total.index if total[state])
    lines = [f"Runs: {states}"]
    if shared := shared_settings(study):
        lines.append(f"All series: {shared}")
    if study.fitted_series:
        lines += ["", _aligned(series_tables.midpoint_texts(study.fitted_series))]
    return "\n".join(lines)


def _aligned(table: pd.DataFrame) -> str:
    rows = [list(table.columns), *table.to_numpy(object).tolist()]
    widths = [max(len(str(row[column])) for row in rows) for column in range(len(table.columns))]
    return "\n".join(
        "  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m analysis.report", description="Write tables, figures and an HTML page of some runs."
    )
    parser.add_argument("collections", metavar="COLLECTION", nargs="*", help="name of a SEML collection")
    parser.add_argument(
        "--out", type=Path, default=Path("report"), metavar="DIR", help="folder of the report (default: report)"
    )
    parser.add_argument(
        "--from",
        type=Path,
        action="append",
        default=[],
        dest="files",
        metavar="FILE",
        help="read the runs from FILE instead of the database; repeatable",
    )
    parser.add_argument("--save-runs", type=Path, metavar="FILE", help="save the runs to FILE (.jsonl.gz or .parquet)")
    parser.add_argument(
        "--copy", type=Path, metavar="FILE", help="also write the page to FILE, with all figures and no links to files"
    )
    parser.add_argument(
        "--all-figures", action="store_true",
        help=f"also draw the figures and PDFs that a study of more than {MOST_SERIES} series leaves out",
    )  # fmt: skip
    return parser


if __name__ == "__main__":
    sys.exit(main())
