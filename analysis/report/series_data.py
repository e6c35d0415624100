"""Compact data of all series and rankings, which the scripts of the page draw.

Texts that many series share are stored once, with an index for each series. Accuracies are integers in units of
:data:`ACCURACY_STEP`. The whole is JSON, compressed by gzip, as base64 text.
"""

from __future__ import annotations

import base64
import gzip
import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from analysis.intervals import Estimate
from analysis.labels import column_heading, differing_settings, format_estimate, label, level_axis_label
from analysis.midpoints.study import FittedSeries, accuracy_table
from analysis.report.rankings import Ranking
from analysis.tables.table_files import Table

ACCURACY_STEP = 1e-4

Coded = dict[str, list[Any]]


def coded(values: Iterable[Any]) -> Coded:
    """The values of all series as distinct values, in the order of their appearance, and an index for each series."""
    listed = list(values)
    distinct = {repr(value): value for value in listed}
    places = {text: place for place, text in enumerate(distinct)}
    return {"values": list(distinct.values()), "index": [places[repr(value)] for value in listed]}


def page_data(
    fitted_series: Sequence[FittedSeries], midpoints: Table | None, rankings: Sequence[Ranking], tables: Sequence[Table]
) -> dict[str, Any]:
    """Data of the page: series, number of the one that is open first, rankings, and rows of long tables by name.

    ``midpoints`` is the table of the midpoints of these series; None without series.
    """
    weakest = rankings[0].weakest if rankings else None
    return {
        "series": series_data(fitted_series, midpoints.texts) if midpoints else None,
        "first": next((number for number, each in enumerate(fitted_series) if each is weakest), 0),
        "rankings": [_ranking(each) for each in rankings],
        "tables": {each.name: each.texts.to_numpy(object).tolist() for each in tables},
    }


def series_data(fitted_series: Sequence[FittedSeries], texts: pd.DataFrame) -> dict[str, Any]:
    """Data of the series with a curve: a list or an index per series for each quantity.

    ``texts`` is the table of the midpoints. ``settings`` of its first columns are settings. ``accuracy`` has a list per
    repetition, with null where there is no run. ``planned`` is null where every planned run is used. ``fit`` has log10
    of the midpoint, sigma in decades, a_min and a_max of the weighted fit.
    """
    settings = [each.settings for each in fitted_series]
    names = differing_settings(settings) or ["data.name", "model.name"]
    tables = [accuracy_table(each.series.used) for each in fitted_series]
    levels = [[_short(level) for level in _levels(each)] for each in fitted_series]
    return {
        "settings": len(names),
        "step": ACCURACY_STEP,
        "columns": [{"name": str(name), **coded(texts[name])} for name in texts.columns],
        "titles": [_title(each, names) for each in fitted_series],
        "axis": coded(map(level_axis_label, settings)),
        "levels": coded(levels),
        "repetitions": coded(list(dict.fromkeys(each.series.used["repetition"])) for each in fitted_series),
        "accuracy": [_steps(accuracies) for _, accuracies in tables],
        "planned": coded(map(_planned, fitted_series)),
        "mu": [_estimate(each.fit.mu) for each in fitted_series],
        "noise_free": [_short(each.fit.a_max.value) for each in fitted_series],
        "chance": coded(_short(each.fit.chance_accuracy) for each in fitted_series),
        "fit": [_fit(each) for each in fitted_series],
    }


def compressed(content: Any) -> str:
    """Content as JSON, compressed by gzip, as base64 text."""
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def _title(each: FittedSeries, names: Sequence[str]) -> str:
    named = label(each.settings, [name for name in names if name != "noise.point"])
    return ", ".join(text for text in (f"{column_heading('noise.point')} {each.series.point_name}", named) if text)


def _levels(each: FittedSeries) -> list[float]:
    return sorted(set(each.series.used["level"]))


def _planned(each: FittedSeries) -> list[list[float | None]] | None:
    """Levels with fewer used than planned runs, with both numbers; None if there are none."""
    if each.series.counts["used"] == each.series.counts["planned"]:
        return None
    curve = each.series.curve
    lacking = curve[curve["n"] < curve["planned"]]
    return [
        [_short(level), int(n), int(planned)] for level, n, planned in lacking[["level", "n", "planned"]].to_numpy()
    ]


def _steps(accuracies: Any) -> list[list[int | None]]:
    return [
        [None if math.isnan(value) else round(value / ACCURACY_STEP) for value in repetition]
        for repetition in accuracies.tolist()
    ]


def _estimate(estimate: Estimate) -> list[Any]:
    """Value and ends of the interval, null where they are not finite, and the mark of a bound."""
    return [*map(_short, (estimate.value, estimate.low, estimate.high)), estimate.bound]


def _fit(each: FittedSeries) -> list[float | None] | None:
    if each.fit.weighted is None:
        return None
    curve = each.fit.weighted.curve
    return [_short(value) for value in (curve.mu, curve.sigma, curve.a_min, curve.a_max)]


def _short(value: float) -> float | None:
    """A number with five significant digits, or None if it is not finite."""
    return float(f"{value:.5g}") if math.isfinite(value) else None


def _ranking(each: Ranking) -> dict[str, Any]:
    return {
        "title": each.title, "trainings": each.trainings, "axis": each.axis, "sentences": each.sentences,
        "rows": [
            [
                row.name,
                [
                    [*_estimate(mu), int(weak), format_estimate(mu)]
                    for mu, weak in zip(row.midpoints, row.may_be_weakest, strict=True)
                ],
            ]
            for row in each.rows
        ],
    }  # fmt: skip
