"""A study: its runs, its series, and their midpoints."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd

from analysis.midpoints.flags import Flag
from analysis.midpoints.midpoint import MidpointFit, fit_midpoint, mean_curve, noise_of
from analysis.midpoints.stacked_logistics import Shape, compare
from analysis.progress_bar import track
from analysis.runs.series import Series, Settings, group_series


@dataclass(frozen=True, eq=False)
class FittedSeries:
    """A series with its midpoint, and with the shape of its curve if it has a midpoint."""

    series: Series
    fit: MidpointFit
    shape: Shape | None

    @property
    def settings(self) -> Settings:
        return self.series.settings


@dataclass(frozen=True, eq=False)
class Study:
    """What the report shows.

    Attributes
    ----------
    runs
        A row per document, as in :func:`analysis.runs.run_frame.to_frame`.
    fitted
        The series with a robustness curve, in the order of their settings.
    others
        The series without a robustness curve: no noise, noise mapped to the points, or two levels at once.
    """

    runs: pd.DataFrame
    fitted: list[FittedSeries]
    others: list[Series]


def analyse(runs: pd.DataFrame) -> Study:
    """Group runs into series and find their midpoints."""
    series = group_series(runs)
    curves = [each for each in series if each.has_curve]
    fitted = [_fitted(each) for each in track(curves, "series fitted", len(curves))]
    return Study(runs, fitted, [each for each in series if not each.has_curve])


def _fitted(series: Series) -> FittedSeries:
    fit = fit_midpoint(series.used, series.floor)
    if series.used.empty and series.counts["overflow"]:
        return FittedSeries(series, replace(fit, flags=(Flag.ONLY_OVERFLOW,)), None)
    if fit.curve is None:
        return FittedSeries(series, fit, None)
    level, mean, error = mean_curve(series.used)
    shape = compare(fit.curve, noise_of(level), mean, error)
    return FittedSeries(series, replace(fit, flags=(Flag.PLATEAU, *fit.flags)) if shape.has_plateau else fit, shape)
