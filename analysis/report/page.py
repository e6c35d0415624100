"""HTML page of the report, index.html. It refers only to the files of the report."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from itertools import groupby
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from analysis.figures.layout.style import Plot
from analysis.labels import differing_settings, label, slug
from analysis.midpoints.study import Study
from analysis.report.output_folder import FILES, MARK
from analysis.report.report_items import ReportItem
from analysis.tables.run_accounting import state_counts
from analysis.tables.table_files import Table

LIBRARIES = ("numpy", "scipy", "pandas", "matplotlib")

_SHARED = (
    "data.name",
    "data.transform",
    "data.validation",
    "data.keywords",
    "model.name",
    "model.batch_norm",
    "noise.kind",
    "noise.point",
    "noise.in_training",
    "training.epochs",
    "training.batch_size",
    "training.learning_rate",
)
_OPEN = 6
"""Number of figures that a report item shows. Further figures are folded."""
_WIDE = 40
"""Length above which the texts of a column may wrap."""


def render(study: Study, report_items: Sequence[tuple[ReportItem, Sequence[Plot | Table]]]) -> str:
    """HTML page of a study, from its report items and their figures and tables."""
    environment = Environment(
        loader=PackageLoader("analysis.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    counted = state_counts(study.runs)
    return environment.get_template("report.html.j2").render(
        mark=MARK,
        files=FILES,
        collections=list(counted["collection"]),
        totals=counted.drop(columns="collection").sum().to_dict(),
        shared=shared_settings(study),
        sections=[_section(item, parts) for item, parts in report_items],
        libraries=", ".join(f"{name} {version(name)}" for name in LIBRARIES),
    )


def shared_settings(study: Study) -> str:
    """Text of the settings that all series of a study share."""
    settings = [each.settings for each in study.fitted_series] or [each.settings for each in study.series_without_curve]
    if not settings:
        return ""
    differing = differing_settings(settings)
    return label(settings[0], [name for name in _SHARED if name not in differing])


def _section(item: ReportItem, parts: Sequence[Plot | Table]) -> dict[str, Any]:
    """Report item in the form that the template needs. The title of a single figure replaces that of the item."""
    title = parts[0].title if len(parts) == 1 and isinstance(parts[0], Plot) else item.title
    plots = [part for part in parts if isinstance(part, Plot)]
    return {
        "id": slug(item.number),
        "number": item.number,
        "heading": f"{item.number}. {title.removeprefix(f'{item.number}. ')}",
        "titled": len(parts) > 1,
        "missing_runs": item.missing_runs,
        "plots": plots[:_OPEN],
        "folded": plots[_OPEN:],
        "tables": [(part, _cells(part.texts)) for part in parts if isinstance(part, Table)],
    }


def _cells(texts: pd.DataFrame) -> dict[str, Any]:
    """Heading rows of a table, each heading with the number of columns it spans; rows; and which columns may wrap."""
    columns = [name if isinstance(name, tuple) else (name,) for name in texts.columns]
    levels = list(zip(*columns, strict=True))
    return {
        "headings": [
            [(str(text), len(list(same))) for text, same in groupby(level)] for level in levels[:-1]
        ] + [[(str(text), 1) for text in levels[-1]]],
        "rows": texts.to_numpy(object).tolist(),
        "wide": [texts.iloc[:, column].map(len).max() > _WIDE for column in range(len(columns))] if len(texts) else [],
    }  # fmt: skip
