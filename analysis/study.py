"""A study: its runs, its series, and their midpoints."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd

from analysis.fits import MidpointFit, fit_midpoint
from analysis.flags import Flag
from analysis.progress import track
from analysis.series import Series, Settings, group_series


@dataclass(frozen=True, eq=False)
class FittedSeries:
    """A series with its midpoint."""

    series: Series
    fit: MidpointFit

    @property
    def settings(self) -> Settings:
        return self.series.settings


@dataclass(frozen=True, eq=False)
class Study:
    """What the report shows.

    Attributes
    ----------
    runs
        A row per document, as in :func:`analysis.runs.to_frame`.
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
    fitted = [FittedSeries(each, _fit(each)) for each in track(curves, "series fitted", len(curves))]
    return Study(runs, fitted, [each for each in series if not each.has_curve])


def _fit(series: Series) -> MidpointFit:
    fit = fit_midpoint(series.used, series.floor)
    if series.used.empty and series.counts["overflow"]:
        return replace(fit, flags=(Flag.ONLY_OVERFLOW,))
    return fit
