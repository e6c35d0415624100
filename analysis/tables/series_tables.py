"""Tables of all series: midpoints of series with a robustness curve, accuracy of the others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.intervals import UNKNOWN, Method
from analysis.labels import (
    cell_text,
    column_heading,
    differing_settings,
    format_estimate,
    format_number,
    format_with_error,
)
from analysis.midpoints.curves.stacked_logistics import Shape
from analysis.midpoints.flags import Flag, flag_letter, flag_notes
from analysis.midpoints.midpoint import LOSSES, MidpointFit
from analysis.midpoints.study import FittedSeries, Study
from analysis.runs.run_frame import STATE_NAMES
from analysis.runs.series import Series
from analysis.tables.table_files import Table, save_table, with_settings

MIDPOINTS = "midpoints"
"""Name of the table of midpoints."""

_CAPTION = (
    "μ: level at which half of what there is to lose, between noise-free and chance accuracy, is lost; geometric "
    "mean over the repetitions with its 95 % interval, which speaks of training seeds at a fixed test set. "
    "Interval: t, or moderated t with the variance pooled over the series of the same kind of training. Weighted "
    "fit (paper): μ of one logistic through the means ± standard error of the fit, which does not shrink with the "
    "number of repetitions. a_max and a_min: accuracy before and after the fall. Runs used of those planned. Equal "
    "runs count once; the others are listed as repeated. Runs with float32 overflow are left out. Diverged runs are "
    "used."
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
                numbers, texts, folder, MIDPOINTS, "Midpoints and plateaus", _CAPTION,
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

    Columns: the dotted setting names; ``point``, number and name of the noise point; ``mu`` with its interval
    ``mu_low``..``mu_high`` by the method ``mu_interval``, or with ``mu_bound`` (≥ or ≤) if only a bound is known;
    ``mu_plain`` and ``mu_moderated``, the same with both intervals; ``repetition_midpoints``, the midpoint of each
    repetition; ``mu_of_fall``, half of the curve's own fall; ``loss_1`` and ``loss_5``, the levels at which 1 and 5 %
    is lost; ``width``, the factor between the levels at which 10 and 90 % is lost; ``a_max``, ``a_min``; ``dead``, the
    share of dead repetitions, and ``mu_of_survivors``; ``level_before`` and ``level_after``, the sampled levels around
    the midpoint, and ``levels_on_slope`` between 10 and 90 %; ``mu_weighted``, ``mu_weighted_error``, ``sigma``
    (decades), ``weighted_a_min``, ``weighted_a_max`` and ``misfit`` of the weighted fit; ``floor``, the chance
    accuracy; sampled levels; both midpoints ``mu_1`` and ``mu_2`` and the plateau ``a_mid`` between them where two
    stacked logistics are chosen; runs as in :attr:`analysis.runs.series.Series.counts`; ``flags``. Every estimate
    ``X`` has its interval in ``X_low`` and ``X_high``.
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
    fits = [each.fit for each in fitted_series]
    table["μ"] = [format_estimate(fit.mu) for fit in fits]
    table["interval"] = [str(fit.mu.method) or "–" for fit in fits]
    if any(Flag.PARTIAL_FALL in fit.flags for fit in fits):
        table["half of its own fall"] = [
            format_estimate(fit.mu_of_fall) if Flag.PARTIAL_FALL in fit.flags else "" for fit in fits
        ]
    if any(fit.dead for fit in fits):
        table["dead (survivors' μ)"] = [_dead(fit) for fit in fits]
    table["weighted fit (paper)"] = [_weighted(fit) for fit in fits]
    table["a_max"] = [format_estimate(fit.a_max) for fit in fits]
    table["a_min"] = [format_estimate(fit.a_min) for fit in fits]
    if any(each.shape and each.shape.has_plateau for each in fitted_series):
        table["μ₁, μ₂ (a_mid)"] = [_both_midpoints(each.shape) for each in fitted_series]
    table["runs"] = [runs_used(each.series.counts) for each in fitted_series]
    table["flags"] = ["; ".join(_flag_text(flag, fit) for flag in fit.flags) for fit in fits]
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
    moderated = fit.mu if fit.mu.method == Method.MODERATED else UNKNOWN
    estimates = {
        "mu": fit.mu, "mu_plain": fit.mu_plain, "mu_moderated": moderated, "mu_of_fall": fit.mu_of_fall,
        **{f"loss_{100 * loss:g}": fit.level_at_loss(loss) for loss in LOSSES},
        "width": fit.width, "a_max": fit.a_max, "a_min": fit.a_min,
        "dead": fit.share_dead, "mu_of_survivors": fit.mu_of_survivors,
    }  # fmt: skip
    row: dict[str, Any] = {}
    for name, each in estimates.items():
        row |= {name: each.value, f"{name}_low": each.low, f"{name}_high": each.high}
        if name.startswith(("mu", "loss")):
            row[f"{name}_bound"] = each.bound
    outcomes = fit.repetitions.outcomes.items()
    slope, weighted = fit.slope, fit.weighted
    curve = weighted.curve if weighted else None
    return row | {
        "mu_interval": str(fit.mu.method),
        "repetition_midpoints": "; ".join(
            f"{name}: {each if isinstance(each, Flag) else f'{each:.6g}'}" for name, each in outcomes
        ),
        "midpoints": len(fit.repetitions.logs),
        "repetitions": len(fit.repetitions.outcomes),
        "level_before": slope and slope.before,
        "level_after": slope and slope.after,
        "levels_on_slope": slope and slope.levels,
        "mu_weighted": weighted and weighted.mu,
        "mu_weighted_error": weighted and weighted.error,
        "sigma": curve and curve.sigma,
        "weighted_a_min": curve and curve.a_min,
        "weighted_a_max": curve and curve.a_max,
        "misfit": weighted and weighted.misfit,
        "floor": fit.chance_accuracy,
        "lowest_level": fit.lowest,
        "highest_level": fit.highest,
        "flags": "; ".join(fit.flags),
    }


def _flag_text(flag: Flag, fit: MidpointFit) -> str:
    """Text of a flag, with the levels around the midpoint if the levels are too coarse."""
    if flag != Flag.LEVELS_TOO_COARSE or fit.slope is None or not fit.mu.is_known:
        return str(flag)
    return f"{flag} (μ between {format_number(fit.slope.before)} and {format_number(fit.slope.after)})"


def _weighted(fit: MidpointFit) -> str:
    return "–" if fit.weighted is None else format_with_error(fit.weighted.mu, fit.weighted.error)


def _dead(fit: MidpointFit) -> str:
    """Number of dead repetitions, the interval of their share, and the midpoint of the survivors."""
    if not fit.dead:
        return ""
    share = fit.share_dead
    return (
        f"{len(fit.dead)} of {len(fit.repetitions.outcomes)} [{100 * share.low:.0f} to {100 * share.high:.0f} %] "
        f"({format_estimate(fit.mu_of_survivors)})"
    )
