"""Midpoint noise levels of runs that were trained from Python, without a database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from analysis.errors import AnalysisError
from analysis.labels import differing_settings
from analysis.midpoints.study import FittedSeries, fit_series
from analysis.runs.run_frame import to_frame
from analysis.runs.series import group_series

if TYPE_CHECKING:
    from walking_noise import Result, RunConfig


def estimate(configs: Sequence[RunConfig], results: Sequence[Result]) -> pd.DataFrame:
    """The midpoint noise level of every series of some runs.

    Runs belong to one series if they differ only in level and seed. Runs without a single level (no noise, noise mapped
    to the points, or two levels at once) belong to none.

    Parameters
    ----------
    configs
        Settings of the runs.
    results
        The results of :func:`walking_noise.train` for these settings, in the same order.

    Returns
    -------
    DataFrame
        A row per series, with the settings in which the series differ, by dotted name, and these columns:

        ``point``: number and name of the noise point, or ``global``; ``mu``: geometric mean of the midpoints of the
        repetitions, NaN without one; ``low`` and ``high``: its 95 % t interval, NaN for fewer than two; ``flags``:
        reasons why the midpoint is missing or in doubt, separated by semicolons
        (:class:`analysis.midpoints.flags.Flag`).

    Raises
    ------
    AnalysisError
        The numbers of settings and results differ, or no run has a level.
    """
    if len(configs) != len(results):
        raise AnalysisError(f"{len(configs)} settings but {len(results)} results; give one result for each run")
    documents = (
        {
            "collection": "", "_id": number, "status": "COMPLETED",
            "config": config.to_dict(), "result": result.to_document(),
        }
        for number, (config, result) in enumerate(zip(configs, results, strict=True))
    )  # fmt: skip
    series = [each for each in group_series(to_frame(documents)) if each.has_curve] if configs else []
    if not series:
        raise AnalysisError("no series: none of the runs has a noise level; set noise.std or noise.amplitude")
    names = [name for name in differing_settings([each.settings for each in series]) if name != "noise.point"]
    return pd.DataFrame([_row(fit_series(each), names) for each in series])


def _row(each: FittedSeries, names: Sequence[str]) -> dict[str, object]:
    fit = each.fit
    return {
        **{name: each.settings[name] for name in names},
        "point": each.series.point_name,
        "mu": fit.repetitions.mu,
        "low": fit.repetitions.low,
        "high": fit.repetitions.high,
        "flags": "; ".join(fit.flags),
    }
