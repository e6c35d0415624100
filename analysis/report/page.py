"""The report as one page, index.html, which needs nothing but the files beside it."""

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
from analysis.report.output_folder import MARK
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
"""An exhibit of more figures shows so many; the others are folded away."""
_WIDE = 40
"""The length of a text from which on it may wrap."""


def render(study: Study, exhibits: Sequence[tuple[ReportItem, Sequence[Plot | Table]]]) -> str:
    """The page of a study, for its exhibits and what was made of each."""
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
        collections=list(counted["collection"]),
        totals=counted.drop(columns="collection").sum().to_dict(),
        shared=shared_settings(study),
        sections=[_section(exhibit, parts) for exhibit, parts in exhibits],
        libraries=", ".join(f"{name} {version(name)}" for name in LIBRARIES),
    )


def shared_settings(study: Study) -> str:
    """What all series of a study have in common, in words."""
    every = [each.settings for each in study.fitted_series] or [each.settings for each in study.series_without_curve]
    if not every:
        return ""
    differing = differing_settings(every)
    return label(every[0], [name for name in _SHARED if name not in differing])


def _section(exhibit: ReportItem, parts: Sequence[Plot | Table]) -> dict[str, Any]:
    """An exhibit as the template takes it. The title of an only figure takes the place of the exhibit's."""
    title = parts[0].title if len(parts) == 1 and isinstance(parts[0], Plot) else exhibit.title
    plots = [part for part in parts if isinstance(part, Plot)]
    return {
        "id": slug(exhibit.number),
        "number": exhibit.number,
        "heading": f"{exhibit.number}. {title.removeprefix(f'{exhibit.number}. ')}",
        "titled": len(parts) > 1,
        "lacking": exhibit.lacking,
        "plots": plots[:_OPEN],
        "folded": plots[_OPEN:],
        "tables": [(part, _cells(part.texts)) for part in parts if isinstance(part, Table)],
    }


def _cells(words: pd.DataFrame) -> dict[str, Any]:
    """The rows of headings of a table, each heading with the columns that it spans; its rows; which columns wrap."""
    columns = [name if isinstance(name, tuple) else (name,) for name in words.columns]
    levels = list(zip(*columns, strict=True))
    return {
        "headings": [
            [(str(text), len(list(same))) for text, same in groupby(level)] for level in levels[:-1]
        ] + [[(str(text), 1) for text in levels[-1]]],
        "rows": words.to_numpy(object).tolist(),
        "wide": [words.iloc[:, column].map(len).max() > _WIDE for column in range(len(columns))] if len(words) else [],
    }  # fmt: skip
