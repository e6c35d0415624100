"""Midpoint noise levels of runs that were trained from Python, without a database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from analysis.errors import AnalysisError
from analysis.labels import differing_settings
from analysis.midpoints.curves.repetition_curve import SMALLEST_LOSS
from analysis.midpoints.study import FittedSeries, analyse
from analysis.runs.run_frame import to_frame

if TYPE_CHECKING:
    from walking_noise import Result, RunConfig


def frame_of(configs: Sequence[RunConfig], results: Sequence[Result]) -> pd.DataFrame:
    """The runs and their results as :func:`analysis.runs.run_frame.to_frame` reads them from a database."""
    return to_frame(
        {
            "collection": "", "_id": number, "status": "COMPLETED",
            "config": config.to_dict(), "result": result.to_document(),
        }
        for number, (config, result) in enumerate(zip(configs, results, strict=True))
    )  # fmt: skip


def estimate(configs: Sequence[RunConfig], results: Sequence[Result], *, losses: Sequence[float] = ()) -> pd.DataFrame:
    """The midpoint noise level of every series of some runs, with the numbers of the report.

    Runs belong to one series if they differ only in level and seed. Runs without a single level (no noise, noise mapped
    to the points, or two levels at once) belong to none.

    Parameters
    ----------
    configs
        Settings of the runs.
    results
        The results of :func:`walking_noise.train` for these settings, in the same order.
    losses
        Further losses of accuracy, as shares of what there is to lose, in [0.01, 0.99]: 0.01 for the level at which
        1 % is lost.

    Returns
    -------
    DataFrame
        A row per series, with the settings in which the series differ, by dotted name, and these columns:

        ``point``: number and name of the noise point, or ``global``; ``mu``: geometric mean of the midpoints of the
        repetitions, NaN without one; ``bound``: ``≥`` or ``≤`` if only a bound of ``mu`` is known, since a midpoint
        lies beyond the sampled levels; ``low`` and ``high``: its 95 % interval, NaN for a bound or for fewer than two
        repetitions; ``interval``: ``t`` or ``moderated t`` (:mod:`analysis.intervals`); for each of ``losses``, its
        level, bound and interval, with the loss in %: ``loss_1``, ``loss_1_bound``, ``loss_1_low``, ``loss_1_high``;
        ``flags``:
        reasons why the midpoint is missing or in doubt, separated by semicolons
        (:class:`analysis.midpoints.flags.Flag`).

    Raises
    ------
    AnalysisError
        The numbers of settings and results differ, no run has a level, or a loss lies outside its range.
    """
    if not isinstance(losses, Sequence) or not all(isinstance(loss, float) for loss in losses):
        raise AnalysisError(f"losses {losses!r}: give a sequence of shares, as in (0.01, 0.05)")
    if refused := [loss for loss in losses if not SMALLEST_LOSS <= loss <= 1 - SMALLEST_LOSS]:
        raise AnalysisError(f"loss {refused[0]:g}: give a share in [{SMALLEST_LOSS}, {1 - SMALLEST_LOSS}]")
    if len(configs) != len(results):
        raise AnalysisError(f"{len(configs)} settings but {len(results)} results; give one result for each run")
    fitted = analyse(frame_of(configs, results)).fitted_series if configs else []
    if not fitted:
        raise AnalysisError("no series: none of the runs has a noise level; set noise.std or noise.amplitude")
    names = [name for name in differing_settings([each.settings for each in fitted]) if name != "noise.point"]
    return pd.DataFrame([_row(each, names, losses) for each in fitted])


def _row(each: FittedSeries, names: Sequence[str], losses: Sequence[float]) -> dict[str, object]:
    mu = each.fit.mu
    row: dict[str, object] = {name: each.settings[name] for name in names}
    row |= {"point": each.series.point_name, "mu": mu.value, "bound": mu.bound, "low": mu.low, "high": mu.high}
    row["interval"] = str(mu.method)
    for loss in losses:
        level, name = each.fit.level_at_loss(loss), f"loss_{100 * loss:g}"
        row |= {name: level.value, f"{name}_bound": level.bound, f"{name}_low": level.low, f"{name}_high": level.high}
    return row | {"flags": "; ".join(each.fit.flags)}
