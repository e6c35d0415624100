"""The report as one page, index.html, which needs nothing but the files beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from analysis import table1, tables
from analysis.figures import Plot
from analysis.output import MARK
from analysis.runs import causes, counts, provenance, rows
from analysis.study import Study
from analysis.words import cell, distinguishing, interval, label, number

LIBRARIES = ("numpy", "scipy", "pandas", "matplotlib")

_SHARED = (
    "data.name",
    "data.transform",
    "model.name",
    "training.epochs",
    "training.batch_size",
    "training.learning_rate",
)
_SHORT = 12


def render(study: Study, drawn: Mapping[str, Sequence[Plot] | str], sensitivity: pd.DataFrame) -> str:
    """The page, for the tables and figures of a study."""
    environment = Environment(
        loader=PackageLoader("analysis", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    counted = counts(study.runs)
    return environment.get_template("report.html.j2").render(
        mark=MARK,
        collections=list(counted["collection"]),
        totals=counted.drop(columns="collection").sum().to_dict(),
        counts=_cells(counted),
        shared=shared_settings(study),
        table1=table1.in_words(study.fitted),
        table1_columns=table1.COLUMNS,
        midpoints=_cells(tables.readable(study.fitted)) if study.fitted else None,
        sensitivity=_cells(_compared(sensitivity)) if len(sensitivity) else None,
        without_curve=_cells(_without_curve(study)) if study.others else None,
        causes=_cells(causes(study.runs)),
        provenance=_cells(_made(study.runs)),
        figures=drawn,
        libraries=", ".join(f"{name} {version(name)}" for name in LIBRARIES),
    )


def shared_settings(study: Study) -> str:
    """What all series of a study have in common, in words."""
    every = [each.settings for each in study.fitted] or [each.settings for each in study.others]
    if not every:
        return ""
    differing = distinguishing(every)
    return label(every[0], [name for name in _SHARED if name not in differing])


def _cells(table: pd.DataFrame) -> dict[str, Any]:
    """A table as the template takes it: the names of its columns, and its rows as texts."""
    return {"columns": list(table.columns), "rows": [[str(value) for value in row] for row in table.to_numpy(object)]}


def _compared(sensitivity: pd.DataFrame) -> pd.DataFrame:
    """A row per series, a column per choice."""
    settings = [name for name in sensitivity if name not in ("choice", "mu", "mu_low", "mu_high")]
    names = distinguishing(rows(sensitivity[settings])) or ["data.name", "model.name"]
    words = sensitivity.assign(
        series=[label(row, names) for row in rows(sensitivity)],
        text=[f"{number(row['mu'])} {interval(row['mu_low'], row['mu_high'])}" for row in rows(sensitivity)],
    )
    choices = list(dict.fromkeys(words["choice"]))
    return words.pivot(index="series", columns="choice", values="text").loc[
        list(dict.fromkeys(words["series"])), choices
    ].reset_index()  # fmt: skip


def _without_curve(study: Study) -> pd.DataFrame:
    settings = [each.settings for each in study.others]
    names = distinguishing(settings) or ["noise.kind"]
    words = tables.in_words(study.others, names)
    used = [each.used["accuracy"] for each in study.others]
    words["accuracy"] = [_mean(runs) for runs in used]
    words["runs"] = [tables.runs_used(each.counts) for each in study.others]
    return words


def _mean(accuracy: pd.Series[float]) -> str:
    spread = f" ± {number(accuracy.std(), 2)}" if len(accuracy) > 1 else ""
    return f"{accuracy.mean():.4f}{spread}" if len(accuracy) else "–"


def _made(runs: pd.DataFrame) -> pd.DataFrame:
    """The provenance with checksums and commits cut short. The CSV has them whole."""
    table = provenance(runs)
    return table.assign(
        commit=table["commit"].str.slice(0, _SHORT),
        data_checksum=table["data_checksum"].str.slice(0, _SHORT),
        hours=[number(hours) for hours in table["hours"]],
        **{"data.name": [cell("data.name", name) for name in table["data.name"]]},
    ).rename(columns={"data.name": "data set", "data_checksum": "data checksum"})
