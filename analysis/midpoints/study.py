"""Study: runs, their series, and the midpoint of each series."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from analysis.intervals import MOST_REPETITIONS, VariancePrior, fit_prior
from analysis.midpoints.curves.stacked_logistics import Shape, compare_shapes
from analysis.midpoints.curves.weighted_fit import Array
from analysis.midpoints.curves.weighted_midpoint import axis_values
from analysis.midpoints.flags import Flag
from analysis.midpoints.midpoint import MidpointFit, fit_midpoint
from analysis.processes import shared_out
from analysis.progress_bar import track
from analysis.runs.noise_kinds import kind_of
from analysis.runs.series import Series, Settings, group_series

_PART = 100
"""Number of series that a process fits at a time."""


@dataclass(frozen=True, eq=False)
class FittedSeries:
    """Series with the fit of its midpoint. ``shape`` is the shape of its curve; None without a weighted fit."""

    series: Series
    fit: MidpointFit
    shape: Shape | None

    @property
    def settings(self) -> Settings:
        return self.series.settings


@dataclass(frozen=True, eq=False)
class Study:
    """Runs and series that the report shows.

    Attributes
    ----------
    runs
        A row per document, as in :func:`analysis.runs.run_frame.to_frame`.
    fitted_series
        Series with a robustness curve, in the order of their settings.
    series_without_curve
        Series without a robustness curve: no noise, noise mapped to the points, or two levels at once.
    """

    runs: pd.DataFrame
    fitted_series: list[FittedSeries]
    series_without_curve: list[Series]
    checksum: str = ""


def analyse(runs: pd.DataFrame, processes: int = 1) -> Study:
    """Group runs into series and estimate the midpoint of each series. Processes share the series."""
    series = group_series(runs)
    with_curve = [each for each in series if each.has_curve]
    parts = [with_curve[start : start + _PART] for start in range(0, len(with_curve), _PART)]

    def fit_part(number: int) -> list[tuple[MidpointFit, Shape | None]]:
        return [(fitted.fit, fitted.shape) for fitted in map(fit_series, parts[number])]

    fits = dict(track(shared_out(fit_part, len(parts), processes), f"parts of {_PART} series fitted", len(parts)))
    fitted = [
        FittedSeries(each, fit, shape)
        for number, part in enumerate(parts)
        for each, (fit, shape) in zip(part, fits[number], strict=True)
    ]
    return Study(runs, _with_priors(fitted), [each for each in series if not each.has_curve])


def fit_series(series: Series) -> FittedSeries:
    """The series with the fit of its midpoint and the shape of its curve."""
    if has_absorbed_offsets(series.settings):
        fit = fit_midpoint(series.used.iloc[:0], series.chance_accuracy)
        return FittedSeries(series, replace(fit, flags=(Flag.ABSORBED,)), None)
    fit = fit_midpoint(series.used, series.chance_accuracy)
    if series.used.empty and series.counts["overflow"]:
        return FittedSeries(series, replace(fit, flags=(Flag.ONLY_OVERFLOW,)), None)
    if fit.weighted is None:
        return FittedSeries(series, fit, None)
    shape = compare_shapes(fit.weighted.curve, *accuracy_table(series.used))
    return FittedSeries(
        series,
        replace(fit, flags=tuple(flag for flag in Flag if flag in (Flag.PLATEAU, *fit.flags)))
        if shape.has_plateau
        else fit,
        shape,
    )


def has_absorbed_offsets(settings: Settings) -> bool:
    """Whether networks are trained with the static offsets with which they are evaluated: additive noise of one chip.

    The bias of the layer before, or the threshold of the layer behind, can absorb such an offset.
    """
    redraw = settings["noise.redraw"]
    static = redraw == "chip" and settings["noise.training_redraw"] in (None, "chip")
    kind = kind_of(settings)
    added = kind.adds and not kind.multiplies and settings["noise.target"] == "activations"
    return bool(static and added and settings["noise.in_training"] and settings["noise.training_seed"] is None)


def accuracy_table(runs: pd.DataFrame) -> tuple[Array, Array]:
    """Noise ``log10(level)`` in ascending order, and accuracies (repetitions, levels); NaN where there is no run."""
    levels, column = np.unique(runs["level"].to_numpy(float), return_inverse=True)
    repetition, names = pd.factorize(runs["repetition"])
    accuracies = np.full((len(names), len(levels)), np.nan)
    accuracies[repetition, column] = runs["accuracy"].to_numpy(float)
    return axis_values(levels), accuracies


def by_kind_of_training(fitted: Iterable[FittedSeries]) -> dict[str, list[FittedSeries]]:
    """The series in groups that differ only in data set, model and noisy points: one for each kind of training."""
    kinds: dict[str, list[FittedSeries]] = {}
    for each in fitted:
        kinds.setdefault(_kind_of_training(each.settings), []).append(each)
    return kinds


def shares_networks(members: Iterable[FittedSeries]) -> bool:
    """Whether some of the series have noise at inference only and so share the networks trained without noise."""
    return any(not each.settings["noise.in_training"] or each.settings["noise.training_std"] == 0 for each in members)


def _with_priors(fitted: Sequence[FittedSeries]) -> list[FittedSeries]:
    """The series, each with the prior of its variance if there are enough series of its kind of training."""
    priors = {kind: _prior(members) for kind, members in by_kind_of_training(fitted).items()}
    return [
        replace(each, fit=replace(each.fit, prior=priors[_kind_of_training(each.settings)]))
        if len(each.fit.repetitions.logs) <= MOST_REPETITIONS
        else each
        for each in fitted
    ]


def _kind_of_training(settings: Settings) -> str:
    """Key of the series that differ only in data set, model and noisy points."""
    return repr([
        (name, value) for name, value in sorted(settings.items())
        if not name.startswith(("data.", "model.")) and name not in ("noise.point", "noise.on_batch_norm")
    ])  # fmt: skip


def _prior(members: Iterable[FittedSeries]) -> VariancePrior | None:
    """Prior of series with the same kind of training, from those whose midpoints are all known."""
    known = [each for each in members if math.isfinite(each.fit.mu_plain.low)]
    samples = [list(each.fit.repetitions.logs.values()) for each in known]
    return fit_prior(samples, shares_networks=shares_networks(known))
