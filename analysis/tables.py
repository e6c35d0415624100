"""The tables of the report: midpoints of all series, and what other choices of fit give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from analysis import latex
from analysis.fits import MidpointFit, fit_midpoint
from analysis.flags import mark, notes
from analysis.runs import STATE_NAMES
from analysis.series import Series, Settings
from analysis.study import FittedSeries
from analysis.words import cell, distinguishing, heading, interval, with_error


def midpoints(fitted: Sequence[FittedSeries]) -> pd.DataFrame:
    """A row per series: its settings, its midpoint, its counts.

    Columns: the dotted setting names; ``point``, the noise point by number and name; ``mu`` and ``mu_error`` of the
    weighted fit; ``mu_repetitions`` with the 95 % interval ``mu_low``..``mu_high`` of the fit per repetition; the
    curve's ``sigma`` (decades), ``a_min`` and ``a_max``; ``floor``; ``misfit``; sampled levels; runs as in
    :attr:`analysis.series.Series.counts`; ``flags``.
    """
    return _table(
        [each.settings for each in fitted],
        [{"point": each.series.point_name, **_midpoint(each.fit), **each.series.counts} for each in fitted],
    )


def sensitivity(fitted: Sequence[FittedSeries]) -> pd.DataFrame:
    """How the midpoints of global series depend on the choices of :mod:`analysis.fits`: a row per series and choice.

    Columns: the dotted setting names, ``choice``, ``mu``, ``mu_low`` and ``mu_high``. The last two are ``mu`` minus and
    plus its standard error; for fits per repetition they are the ends of the 95 % interval.
    """
    rows = [
        (each.settings, choice)
        for each in fitted
        if each.settings["noise.point"] == "global" and each.fit.curve is not None
        for choice in _choices(each)
    ]
    return _table([settings for settings, _ in rows], [choice for _, choice in rows])


def _choices(each: FittedSeries) -> list[dict[str, Any]]:
    runs, floor = each.series.used, each.series.floor
    linear = fit_midpoint(runs, floor, axis="linear")
    weighted = {
        "log level, weighted (reported)": each.fit,
        "log level, weighted, error from the scatter": fit_midpoint(runs, floor, absolute=False),
        "log level, not weighted": fit_midpoint(runs, floor, weighted=False),
        "linear level, weighted": linear,
    }
    per_repetition = {
        "log level, per repetition (reported)": each.fit.repetitions,
        "linear level, per repetition": linear.repetitions,
    }
    rows = [(choice, fit.mu, fit.mu - fit.mu_error, fit.mu + fit.mu_error) for choice, fit in weighted.items()]
    rows += [(choice, fit.mu, fit.low, fit.high) for choice, fit in per_repetition.items()]
    return [dict(zip(("choice", "mu", "mu_low", "mu_high"), row, strict=True)) for row in rows]


def without_curve(others: Sequence[Series]) -> pd.DataFrame:
    """Series without a level (no noise, mapped noise, two levels at once): settings, accuracy over the runs, counts."""
    accuracy = [each.used["accuracy"] for each in others]
    return _table(
        [each.settings for each in others],
        [
            {"accuracy": runs.mean(), "std": runs.std(), **each.counts}
            for each, runs in zip(others, accuracy, strict=True)
        ],
    )


def in_words(series: Sequence[Series], names: Sequence[str]) -> pd.DataFrame:
    """A table of the settings ``names`` in words: a row per series, a column per setting."""
    return pd.DataFrame({
        heading(name): [
            each.point_name if name == "noise.point" else cell(name, each.settings[name]) for each in series
        ]
        for name in names
    })  # fmt: skip


def readable(fitted: Sequence[FittedSeries]) -> pd.DataFrame:
    """The midpoints as a reader sees them.

    The columns are the settings in which the series differ, the midpoint, its interval, the plateaus, runs and flags.
    """
    names = distinguishing([each.settings for each in fitted]) or ["data.name", "model.name"]
    table = in_words([each.series for each in fitted], names)
    table["μ"] = [with_error(each.fit.mu, each.fit.mu_error) for each in fitted]
    table["95 % interval"] = [interval(each.fit.repetitions.low, each.fit.repetitions.high) for each in fitted]
    table["a_max"] = [f"{each.fit.curve.a_max:.3f}" if each.fit.curve else "–" for each in fitted]
    table["a_min"] = [f"{each.fit.curve.a_min:.3f}" if each.fit.curve else "–" for each in fitted]
    table["runs"] = [runs_used(each.series.counts) for each in fitted]
    table["flags"] = ["; ".join(each.fit.flags) for each in fitted]
    return table


def as_latex(fitted: Sequence[FittedSeries]) -> str:
    """The readable midpoints for LaTeX. Letters stand for the flags, and notes below the table explain them."""
    table = readable(fitted)
    table["flags"] = [" ".join(f"({mark(flag)})" for flag in each.fit.flags) for each in fitted]
    return latex.tabular(table, notes(flag for each in fitted for flag in each.fit.flags))


def runs_used(counts: dict[str, int]) -> str:
    """How many of the planned runs are used, as in ``40 of 42 (2 failed); 1 diverged``.

    In brackets stands what became of the others, at the end how many diverged and how many repeat others.
    """
    missing = ("overflow", *(state for state in STATE_NAMES if state != "completed"))
    others = ", ".join(f"{counts[name]} {name}" for name in missing if counts[name])
    noted = "".join(f"; {counts[name]} {name}" for name in ("diverged", "repeated") if counts[name])
    return f"{counts['used']} of {counts['planned']}" + (f" ({others})" if others else "") + noted


def _table(settings: Sequence[Settings], numbers: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """One table of settings and numbers. The settings keep their types, so that null is not NaN."""
    return pd.concat([pd.DataFrame(list(settings), dtype=object), pd.DataFrame(list(numbers))], axis=1)


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
        "floor": fit.floor,
        "misfit": fit.misfit,
        "lowest_level": fit.lowest,
        "highest_level": fit.highest,
        "flags": "; ".join(fit.flags),
    }
