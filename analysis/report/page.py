"""HTML page of the report, index.html: one file with styles, scripts and data, which needs no network.

Figures are embedded if the page stays small. Otherwise they, and always the files of figures and tables, lie in the
folder beside it.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from analysis.figures.layout.style import Plot
from analysis.labels import slug
from analysis.midpoints.study import Study
from analysis.report.item import Parts, ReportItem
from analysis.report.methods import Methods, methods
from analysis.report.output_folder import FILES, MARK
from analysis.report.overview import Overview, overview
from analysis.report.rankings import Ranking, count_sentence, rankings_of
from analysis.report.report_items import ON_REQUEST
from analysis.report.series_data import compressed, page_data
from analysis.tables.series_tables import MIDPOINTS
from analysis.tables.table_files import Table

_OPEN = 6
"""Number of figures that a report item shows. Further figures are folded."""
_MOST_ROWS = 40
"""Number of rows of a table that the page contains as HTML. A button shows the others."""
_EMBEDDED = 1_750_000
"""Largest size of data and figures together, as base64, with which figures are embedded. The page stays below 2 MB."""


class Texts(NamedTuple):
    """Parts of the page that need neither figures nor tables."""

    overview: Overview
    rankings: list[Ranking]
    methods: Methods

    @classmethod
    def of(cls, study: Study) -> Texts:
        """The texts of a study."""
        return cls(overview(study), rankings_of(study), methods(study))


def render(
    study: Study, report_items: Sequence[tuple[ReportItem, Parts | None]], folder: Path, texts: Texts | None = None,
    *, alone: bool = False,
) -> str:  # fmt: skip
    """HTML page of a study, from its report items and their figures and tables, whose files lie in ``folder``.

    Items that are made on request only have None. ``texts`` are those of the study, if they are made already. A page
    that is passed on ``alone`` embeds all figures and has no links to files.
    """
    texts = texts or Texts.of(study)
    environment = Environment(
        loader=PackageLoader("analysis.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    parts = [part for _, made in report_items for part in made or ()]
    tables = [part for part in parts if isinstance(part, Table)]
    midpoints = next((table for table in tables if table.name == MIDPOINTS), None)
    long = [table for table in tables if len(table.texts) > _MOST_ROWS and table is not midpoints]
    data = compressed(page_data(study.fitted_series, midpoints, texts.rankings, long))
    return environment.get_template("report.html.j2").render(
        mark=MARK,
        files=FILES,
        alone=alone,
        asset=_asset,
        collections=list(study.runs["collection"].unique()),
        overview=texts.overview,
        rankings=texts.rankings,
        count_sentence=count_sentence(texts.rankings),
        series=midpoints,
        sections=[
            _section(item, shown)
            for item, made in report_items
            if (shown := [part for part in made or () if part is not midpoints])
        ],
        missing=[(item, ON_REQUEST if made is None else item.missing_runs) for item, made in report_items if not made],
        pictures=_pictures(
            [part for part in parts if isinstance(part, Plot)], folder, None if alone else _EMBEDDED - len(data)
        ),
        methods=texts.methods,
        data=data,
    )


def _asset(name: str) -> str:
    """Text of a style sheet or a script, for the page."""
    return (files("analysis.report") / name).read_text(encoding="utf-8")


def _pictures(plots: Iterable[Plot], folder: Path, largest: int | None) -> dict[str, str]:
    """Name of a figure -> its PNG as a data URL; empty if they are larger than ``largest`` bytes together."""
    encoded = {plot.name: base64.b64encode((folder / f"{plot.name}.png").read_bytes()).decode() for plot in plots}
    if largest is not None and sum(map(len, encoded.values())) > largest:
        return {}
    return {name: f"data:image/png;base64,{content}" for name, content in encoded.items()}


def _section(item: ReportItem, parts: Sequence[Plot | Table]) -> dict[str, Any]:
    """Report item in the form that the template needs. The title of a single figure replaces that of the item."""
    title = parts[0].title if len(parts) == 1 and isinstance(parts[0], Plot) else item.title
    plots = [part for part in parts if isinstance(part, Plot)]
    return {
        "id": slug(item.number),
        "number": item.number,
        "heading": f"{item.number}. {title.removeprefix(f'{item.number}. ')}",
        "titled": len(parts) > 1,
        "plots": plots[:_OPEN],
        "folded": plots[_OPEN:],
        "tables": [_table(part) for part in parts if isinstance(part, Table)],
    }


def _table(table: Table) -> dict[str, Any]:
    """Table in the form that the template needs: heading rows, each heading with the columns it spans, and rows."""
    texts: pd.DataFrame = table.texts
    columns = [name if isinstance(name, tuple) else (name,) for name in texts.columns]
    levels = list(zip(*columns, strict=True))
    more = len(texts) > _MOST_ROWS
    return {
        "name": table.name,
        "title": table.title,
        "caption": table.caption,
        "folded": table.folded,
        "headings": [
            [(str(text), len(list(same))) for text, same in groupby(level)] for level in levels[:-1]
        ] + [[(str(text), 1) for text in levels[-1]]],
        "rows": texts[:_MOST_ROWS].to_numpy(object).tolist(),
        "total": len(texts),
        "more": more,
        "sortable": len(levels) == 1 and len(texts) > 1 and not more,
    }  # fmt: skip
