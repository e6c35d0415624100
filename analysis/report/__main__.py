"""Command line of the report.

    python -m analysis.report COLLECTION… [--out DIR] [--from FILE] [--save-runs FILE]

Reads the runs of the collections from the database, or from a file that ``--save-runs`` wrote. Writes DIR/index.html
and the folder DIR/files with figures and tables. The same runs give the same bytes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from analysis.errors import AnalysisError
from analysis.midpoints.study import Study
from analysis.report import page
from analysis.report.make_report import make_report
from analysis.tables import series_tables
from analysis.tables.run_accounting import state_counts


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(arguments)
    if not options.collections and options.file is None:
        _parser().error("no runs to read: name at least one collection, or a file of runs with --from")
    try:
        study = make_report(options.collections, options.out, options.file, options.save_runs)
    except AnalysisError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; no report was written", file=sys.stderr)
        return 130
    print(_summary(study))
    print(f"\n{options.out.resolve() / 'index.html'}")
    return 0


def _summary(study: Study) -> str:
    """Plain text with the states of the runs, the settings shared by all series, and the midpoints."""
    total = state_counts(study.runs).drop(columns="collection").sum()
    states = ", ".join(f"{total[state]} {state}" for state in total.index if total[state])
    lines = [f"Runs: {states}"]
    if shared := page.shared_settings(study):
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
        "--from", type=Path, dest="file", metavar="FILE", help="read the runs from FILE instead of the database"
    )
    parser.add_argument("--save-runs", type=Path, metavar="FILE", help="save the runs to FILE (.jsonl.gz)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
