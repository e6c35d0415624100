"""Tables of all series: midpoints of series with a robustness curve, accuracy of the others."""

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
from analysis.runs.series import Series
from analysis.tables.table_files import Table, save_table, with_settings

_MIDPOINTS = (
    "μ of the weighted fit ± its standard error; 95 % t interval over the midpoints of the repetitions; plateaus a_max "
    "and a_min of the curve; runs used of those planned. Equal runs count once; the others are listed as repeated. "
    "Runs with float32 overflow are left out. Diverged runs are used."
)
_WITHOUT_CURVE = (
    "Series without noise, with noise mapped to the points, or with two levels at once. Accuracy: mean ± standard "
    "deviation over the runs."
)


def make_series(study: Study, folder: Path) -> Sequence[Table]:
    """Write two tables: midpoints of the series with a robustness curve, and accuracy of the others."""
    tables = []
    if study.fitted_series:
        texts, numbers = midpoint_texts(study.fitted_series), midpoint_numbers(study.fitted_series)
        latex_texts = texts.assign(
            flags=[" ".join(f"({flag_letter(flag)})" for flag in each.fit.flags) for each in study.fitted_series]
        )
        notes = flag_notes(flag for each in study.fitted_series for flag in each.fit.flags)
        tables.append(
            save_table(
                numbers, texts, folder, "midpoints", "Midpoints and plateaus", _MIDPOINTS,
                latex_texts=latex_texts, notes=notes,
            )
        )  # fmt: skip
    if study.series_without_curve:
        texts, numbers = accuracy_texts(study.series_without_curve), accuracy_numbers(study.series_without_curve)
        tables.append(
            save_table(numbers, texts, folder, "without_curve", "Runs without a robustness curve", _WITHOUT_CURVE)
        )
    return tables


def midpoint_numbers(fitted_series: Sequence[FittedSeries]) -> pd.DataFrame:
    """Numbers of the table of midpoints: a row per series with settings, midpoint and counts of runs.

    Columns: the dotted setting names; ``point``, number and name of the noise point; ``mu`` and ``mu_error`` of the
    weighted fit; ``mu_repetitions`` with the 95 % interval ``mu_low``..``mu_high`` of the fit per repetition; the
    curve's ``sigma`` (decades), ``a_min`` and ``a_max``; ``floor``, the chance accuracy; ``misfit``; sampled levels;
    both midpoints ``mu_1`` and ``mu_2`` and the plateau ``a_mid`` between them where two stacked logistics are chosen;
    runs as in :attr:`analysis.runs.series.Series.counts`; ``flags``.
    """
    return with_settings(
        (
            each.settings,
            {"point": each.series.point_name} | _midpoint(each.fit) | _plateau(each.shape) | each.series.counts,
        )
        for each in fitted_series
    )


def accuracy_numbers(series: Sequence[Series]) -> pd.DataFrame:
    """Numbers of the table of series without a curve: settings, accuracy over the runs, counts of runs."""
    return with_settings(
        (each.settings, {"accuracy": each.used["accuracy"].mean(), "std": each.used["accuracy"].std(), **each.counts})
        for each in series
    )


def accuracy_texts(series: Sequence[Series]) -> pd.DataFrame:
    """Texts of the table of series without a curve."""
    texts = setting_texts(series, differing_settings([each.settings for each in series]) or ["noise.kind"])
    texts["accuracy"] = [_mean(each.used["accuracy"]) for each in series]
    texts["runs"] = [runs_used(each.counts) for each in series]
    return texts


def setting_texts(series: Sequence[Series], names: Sequence[str]) -> pd.DataFrame:
    """Texts of the settings ``names``: a row per series, a column per setting."""
    return pd.DataFrame({
        column_heading(name): [
            each.point_name if name == "noise.point" else cell_text(name, each.settings[name]) for each in series
        ]
        for name in names
    })  # fmt: skip


def midpoint_texts(fitted_series: Sequence[FittedSeries]) -> pd.DataFrame:
    """Texts of the table of midpoints.

    The columns are the settings in which the series differ, midpoint, interval, plateaus, runs and flags.
    """
    names = differing_settings([each.settings for each in fitted_series]) or ["data.name", "model.name"]
    table = setting_texts([each.series for each in fitted_series], names)
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
    """Number of used and planned runs as text: ``40 of 42 (2 failed); 1 diverged``.

    The brackets contain the states of the unused runs. The end lists diverged and repeated runs.
    """
    missing = ("overflow", *(state for state in STATE_NAMES if state != "completed"))
    others = ", ".join(f"{counts[name]} {name}" for name in missing if counts[name])
    noted = "".join(f"; {counts[name]} {name}" for name in ("diverged", "repeated") if counts[name])
    return f"{counts['used']} of {counts['planned']}" + (f" ({others})" if others else "") + noted


def _mean(accuracy: pd.Series[float]) -> str:
    spread = f" ± {format_number(accuracy.std(), 2)}" if len(accuracy) > 1 else ""
    return f"{accuracy.mean():.4f}{spread}" if len(accuracy) else "–"


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
