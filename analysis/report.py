"""From collections of runs to tables, figures and a page.

    python -m analysis.report COLLECTION… [--out DIR] [--from FILE] [--save-runs FILE]

Reads the runs of the collections (or of a file that ``--save-runs`` wrote; then no database is needed), finds the
midpoint noise levels, and writes DIR/index.html with everything beside it. The same runs give the same bytes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from analysis import documents, page, tables
from analysis.accounts import counts
from analysis.errors import AnalysisError
from analysis.exhibits import make_all
from analysis.output import check_replaceable, replaced
from analysis.progress import track
from analysis.runs import to_frame
from analysis.study import Study, analyse


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    options = _parser().parse_args(arguments)
    if not options.collections and options.file is None:
        _parser().error("name at least one collection, or a file of runs with --from")
    try:
        study = make_report(options.collections, options.out, options.file, options.save_runs)
    except AnalysisError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the report was not written", file=sys.stderr)
        return 130
    print(_summary(study))
    print(f"\n{options.out.resolve() / 'index.html'}")
    return 0


def make_report(
    collections: Sequence[str], out: Path, file: Path | None = None, save_runs: Path | None = None
) -> Study:
    """Read runs, analyse them, and put the report in place of the folder ``out``.

    Raises
    ------
    AnalysisError
        The runs cannot be read, or ``out`` holds something else than a report.
    """
    check_replaceable(out.resolve())
    source = documents.from_database(collections) if file is None else documents.from_file(file, collections)
    if save_runs is not None:
        source = documents.save(source, save_runs)
    runs = to_frame(track(source.documents, "runs read", source.total))
    if runs.empty:
        raise AnalysisError(f"{file} holds no runs")
    study = analyse(runs)
    with replaced(out) as folder:
        write(study, folder)
    return study


def write(study: Study, folder: Path) -> None:
    """Write exhibits/ and index.html of a study into an existing folder."""
    (folder / "exhibits").mkdir()
    exhibits = make_all(study, folder / "exhibits")
    (folder / "index.html").write_text(page.render(study, exhibits), encoding="utf-8")


def _summary(study: Study) -> str:
    """The states of the runs, what all series have in common, and the midpoints, as plain text."""
    total = counts(study.runs).drop(columns="collection").sum()
    states = ", ".join(f"{total[state]} {state}" for state in total.index if total[state])
    lines = [f"Runs: {states}"]
    if shared := page.shared_settings(study):
        lines.append(f"All series: {shared}")
    if study.fitted:
        lines += ["", _aligned(tables.readable(study.fitted))]
    return "\n".join(lines)


def _aligned(table: pd.DataFrame) -> str:
    rows = [list(table.columns), *table.to_numpy(object).tolist()]
    widths = [max(len(str(row[column])) for row in rows) for column in range(len(table.columns))]
    return "\n".join(
        "  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m analysis.report", description="Tables, figures and a page of runs."
    )
    parser.add_argument("collections", metavar="COLLECTION", nargs="*", help="collections of runs, as SEML names them")
    parser.add_argument("--out", type=Path, default=Path("report"), metavar="DIR", help="folder of the report (report)")
    parser.add_argument("--from", type=Path, dest="file", metavar="FILE", help="read the runs from FILE, no database")
    parser.add_argument(
        "--save-runs", type=Path, metavar="FILE", help="keep the runs that were read in FILE (.jsonl.gz)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
