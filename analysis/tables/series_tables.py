"""The tables of all series: their midpoints, and the accuracy of those without one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.labels import (
    cell_text,
    column_heading,
    differing_settings,
    format_interval,
    format_number,
    format_with_error,
)
from analysis.midpoints.flags import flag_letter, flag_notes
from analysis.midpoints.midpoint import MidpointFit
from analysis.midpoints.stacked_logistics import Shape
from analysis.midpoints.study import FittedSeries, Study
from analysis.runs.run_frame import STATE_NAMES
from analysis.runs.series import Series, Settings
from analysis.tables.table_files import Table, save_table

_MIDPOINTS = (
    "μ of the weighted fit ± its standard error; the 95 % t interval over the midpoints of the repetitions; the "
    "curve's plateaus a_max and a_min; runs used, of those planned. Runs that do the same count once, the others are "
    "named repeated; runs with float32 overflow are left out, diverged ones are results."
)
_WITHOUT_CURVE = (
    "No noise, noise mapped to the points, or two levels at once: accuracy, mean ± standard deviation over the runs."
)


def make_series(study: Study, folder: Path) -> Sequence[Table]:
    """Two tables: the midpoints of all series with a robustness curve, and the accuracy of those without."""
    made = []
    if study.fitted_series:
        words, numbers = midpoint_texts(study.fitted_series), midpoints(study.fitted_series)
        printed = words.assign(
            flags=[" ".join(f"({flag_letter(flag)})" for flag in each.fit.flags) for each in study.fitted_series]
        )
        below = flag_notes(flag for each in study.fitted_series for flag in each.fit.flags)
        made.append(
            save_table(
                numbers, words, folder, "midpoints", "Midpoints and plateaus", _MIDPOINTS, printed=printed, notes=below
            )
        )
    if study.series_without_curve:
        words, numbers = without_curve_in_words(study.series_without_curve), without_curve(study.series_without_curve)
        made.append(
            save_table(numbers, words, folder, "without_curve", "Runs without a robustness curve", _WITHOUT_CURVE)
        )
    return made


def midpoints(fitted_series: Sequence[FittedSeries]) -> pd.DataFrame:
    """A row per series: its settings, its midpoint, its counts.

    Columns: the dotted setting names; ``point``, the noise point by number and name; ``mu`` and ``mu_error`` of the
    weighted fit; ``mu_repetitions`` with the 95 % interval ``mu_low``..``mu_high`` of the fit per repetition; the
    curve's ``sigma`` (decades), ``a_min`` and ``a_max``; ``floor``; ``misfit``; sampled levels; both midpoints ``mu_1``
    and ``mu_2`` and the plateau ``a_mid`` between them where two stacked logistics are chosen; runs as in
    :attr:`analysis.runs.series.Series.counts`; ``flags``.
    """
    return _table(
        [each.settings for each in fitted_series],
        [
            {"point": each.series.point_name, **_midpoint(each.fit), **_plateau(each.shape), **each.series.counts}
            for each in fitted_series
        ],
    )


def without_curve(series: Sequence[Series]) -> pd.DataFrame:
    """Series without a level (no noise, mapped noise, two levels at once): settings, accuracy over the runs, counts."""
    accuracy = [each.used["accuracy"] for each in series]
    return _table(
        [each.settings for each in series],
        [
            {"accuracy": runs.mean(), "std": runs.std(), **each.counts}
            for each, runs in zip(series, accuracy, strict=True)
        ],
    )


def without_curve_in_words(series: Sequence[Series]) -> pd.DataFrame:
    """The accuracy of series without a level, as a reader sees it."""
    words = in_words(series, differing_settings([each.settings for each in series]) or ["noise.kind"])
    words["accuracy"] = [_mean(each.used["accuracy"]) for each in series]
    words["runs"] = [runs_used(each.counts) for each in series]
    return words


def in_words(series: Sequence[Series], names: Sequence[str]) -> pd.DataFrame:
    """A table of the settings ``names`` in words: a row per series, a column per setting."""
    return pd.DataFrame({
        column_heading(name): [
            each.point_name if name == "noise.point" else cell_text(name, each.settings[name]) for each in series
        ]
        for name in names
    })  # fmt: skip


def midpoint_texts(fitted_series: Sequence[FittedSeries]) -> pd.DataFrame:
    """The midpoints as a reader sees them.

    The columns are the settings in which the series differ, the midpoint, its interval, the plateaus, runs and flags.
    """
    names = differing_settings([each.settings for each in fitted_series]) or ["data.name", "model.name"]
    table = in_words([each.series for each in fitted_series], names)
    table["μ"] = [format_with_error(each.fit.mu, each.fit.mu_error) for each in fitted_series]
    table["95 % interval"] = [
        format_interval(each.fit.repetitions.low, each.fit.repetitions.high) for each in fitted_series
    ]
    table["a_max"] = [f"{each.fit.curve.a_max:.3f}" if each.fit.curve else "–" for each in fitted_series]
    table["a_min"] = [f"{each.fit.curve.a_min:.3f}" if each.fit.curve else "–" for each in fitted_series]
    if any(each.shape and each.shape.has_plateau for each in fitted_series):
        table["μ₁, μ₂ (a_mid)"] = [_both_midpoints(each.shape) for each in fitted_series]
    table["runs"] = [runs_used(each.series.counts) for each in fitted_series]
    table["flags"] = ["; ".join(each.fit.flags) for each in fitted_series]
    return table


def runs_used(counts: dict[str, int]) -> str:
    """How many of the planned runs are used, as in ``40 of 42 (2 failed); 1 diverged``.

    In brackets stands what became of the others, at the end how many diverged and how many repeat others.
    """
    missing = ("overflow", *(state for state in STATE_NAMES if state != "completed"))
    others = ", ".join(f"{counts[name]} {name}" for name in missing if counts[name])
    noted = "".join(f"; {counts[name]} {name}" for name in ("diverged", "repeated") if counts[name])
    return f"{counts['used']} of {counts['planned']}" + (f" ({others})" if others else "") + noted


def _mean(accuracy: pd.Series[float]) -> str:
    spread = f" ± {format_number(accuracy.std(), 2)}" if len(accuracy) > 1 else ""
    return f"{accuracy.mean():.4f}{spread}" if len(accuracy) else "–"


def _table(settings: Sequence[Settings], numbers: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """One table of settings and numbers. The settings keep their types, so that null is not NaN."""
    return pd.concat([pd.DataFrame(list(settings), dtype=object), pd.DataFrame(list(numbers))], axis=1)


def _both_midpoints(shape: Shape | None) -> str:
    if shape is None or shape.two is None or not shape.has_plateau:
        return ""
    return f"{format_number(10**shape.two.mu_1)}, {format_number(10**shape.two.mu_2)} ({shape.two.a_mid:.3f})"


def _plateau(shape: Shape | None) -> dict[str, float]:
    two = shape.two if shape and shape.has_plateau else None
    if two is None:
        return dict.fromkeys(("mu_1", "mu_2", "a_mid"), math.nan)
    return {"mu_1": 10**two.mu_1, "mu_2": 10**two.mu_2, "a_mid": two.a_mid}


def _midpoint(fit: MidpointFit) -> dict[str, Any]:
    curve, repetitions = fit.curve, fit.repetitions
    return {
        "mu": fit.mu,
        "mu_error": fit.mu_error,
        "mu_repetitions": repetitions.mu,
        "mu_low": repetitions.low,
        "mu_high": repetitions.high,
        "midpoints": len(repetitions.midpoints),
        "repetitions": repetitions.total,
        "sigma": curve and curve.sigma,
        "a_min": curve and curve.a_min,
        "a_max": curve and curve.a_max,
        "floor": fit.chance_accuracy,
        "misfit": fit.misfit,
        "lowest_level": fit.lowest,
        "highest_level": fit.highest,
        "flags": "; ".join(fit.flags),
    }
