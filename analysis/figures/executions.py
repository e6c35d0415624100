"""Executions of noisy layers: accuracy over their mean number, for schemes that allocate them by the midpoints."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.layout.families import Family, families, run_count_sentence
from analysis.figures.layout.style import WIDTH, Plot, color_and_marker, legend_columns, save_figure
from analysis.intervals import Array, Estimate, Method, t_interval
from analysis.labels import format_estimate, format_number
from analysis.midpoints.allocation import (
    BY_COST,
    EXPONENTS,
    OPTIMUM,
    RANKS,
    UNIFORM,
    MeasuredNetwork,
    allocations,
    measured_networks,
    predicted_factor,
)
from analysis.midpoints.study import FittedSeries, Study
from analysis.tables.table_files import Table, save_table, with_settings

SCHEMES = (UNIFORM, *EXPONENTS, RANKS, OPTIMUM, BY_COST)


@dataclass(frozen=True, eq=False)
class Scheme:
    """Series of one network whose executions a scheme allocates: by their mean number over the noise points."""

    name: str
    at_mean: dict[int, FittedSeries]


def make(study: Study, folder: Path) -> list[Plot | Table]:
    """A figure for each network, and a table of what the schemes gain at equal budget."""
    found = compared(study)
    plots: list[Plot | Table] = [_draw(*each, folder) for each in found]
    return [*plots, _table(found, folder)] if found else []


def compared(study: Study) -> list[tuple[Family[FittedSeries], MeasuredNetwork, list[Scheme]]]:
    """The networks with runs of several schemes at a common level."""
    chosen = [each for each in study.fitted_series if not each.settings["noise.in_training"]]
    executed = [each for each in chosen if each.settings["noise.point"] == "global"]
    found: list[tuple[Family[FittedSeries], MeasuredNetwork, list[Scheme]]] = []
    for family in families(executed, ["noise.executions"]):
        for network in measured_networks(study):
            named = schemes(family.members, network) if network.everywhere in family.members else []
            series = [each for scheme in named for each in scheme.at_mean.values()]
            if len(named) > 1 and math.isfinite(level_of(network, series)):
                found.append((family, network, named))
    return found


def schemes(members: Sequence[FittedSeries], network: MeasuredNetwork) -> list[Scheme]:
    """The schemes of the series: those whose allocations, from the midpoints of the network, the series have.

    An allocation can belong to several schemes. One execution of every layer belongs to all.
    """
    by_numbers = {numbers_of(each, len(network.mu)): each for each in members}
    at_mean: dict[str, dict[int, FittedSeries]] = {name: {} for name in SCHEMES}
    for budget in sorted({sum(numbers) // len(numbers) for numbers in by_numbers if sum(numbers) % len(numbers) == 0}):
        for name, numbers in allocations(network.mu, budget, network.costs).items():
            if numbers in by_numbers:
                at_mean[name][budget] = by_numbers[numbers]
    return [Scheme(name, series) for name, series in at_mean.items() if set(series) - {1}]


def numbers_of(series: FittedSeries, points: int) -> tuple[int, ...]:
    """The number of executions at each noise point."""
    value = series.settings["noise.executions"]
    return value if isinstance(value, tuple) else (value,) * points


def level_of(network: MeasuredNetwork, series: Sequence[FittedSeries]) -> float:
    """The level that all series have closest to the midpoint of the network under global noise; NaN without one."""
    common: set[float] = set.intersection(*(set(each.series.used["level"]) for each in series))
    mu = network.everywhere.fit.mu.value
    return min((level for level in common if level > 0), key=lambda level: abs(math.log(level / mu)), default=math.nan)


def accuracies(series: FittedSeries, level: float) -> pd.Series[float]:
    """The accuracy at a level, by repetition."""
    used = series.series.used
    return used[used["level"] == level].set_index("repetition")["accuracy"].astype(float)


@dataclass(frozen=True, eq=False)
class Gain:
    """Gain of a scheme over equal numbers of executions with the same mean, for each repetition that both have.

    Attributes
    ----------
    accuracy
        Differences of the accuracies at the midpoint under global noise.
    saved
        Shares of the executions that equal numbers need for the same accuracy, interpolated over the logarithm of the
        number; NaN beyond the numbers that were run.
    log_factor
        Differences of log10 of the midpoints.
    predicted
        The predicted ratio of the tolerated levels.
    """

    scheme: str
    mean: int
    accuracy: list[float]
    saved: list[float]
    log_factor: list[float]
    predicted: float
    series: tuple[FittedSeries, FittedSeries]

    def estimates(self) -> dict[str, Estimate]:
        """Means with t intervals; the mean of the ratios of the midpoints, ``factor``, is geometric."""
        ratio = _estimate(self.log_factor)
        return {
            "accuracy": _estimate(self.accuracy),
            "saved": _estimate(self.saved) if np.isfinite(self.saved).all() else Estimate(math.nan),
            "factor": Estimate(10**ratio.value, 10**ratio.low, 10**ratio.high, ratio.method),
        }


def gains(network: MeasuredNetwork, found: Sequence[Scheme]) -> Iterator[Gain]:
    """The gain of each scheme over equal numbers, for each mean number of executions above 1."""
    uniform = next((each for each in found if each.name == UNIFORM), None)
    if uniform is None:
        return
    level = level_of(network, [each for scheme in found for each in scheme.at_mean.values()])
    equal = pd.DataFrame({mean: accuracies(each, level) for mean, each in sorted(uniform.at_mean.items())})
    for scheme in found:
        for mean, series in sorted(scheme.at_mean.items()):
            if scheme is uniform or mean not in uniform.at_mean or mean == 1:
                continue
            here = accuracies(series, level)
            both = here.index.intersection(equal.dropna().index)
            saved = [1 - mean / _equal_number(equal.loc[name], here[name]) for name in both]
            logs, others = series.fit.repetitions.logs, uniform.at_mean[mean].fit.repetitions.logs
            by_cost = scheme.name == BY_COST
            if by_cost:  # its budget is one of multiply-accumulates, not of executions
                saved = [math.nan] * len(both)
            yield Gain(
                scheme.name,
                mean,
                (here[both] - equal.loc[both, mean]).tolist(),
                saved,
                [logs[name] - others[name] for name in logs if name in others],
                math.nan if by_cost else predicted_factor(network.mu, numbers_of(series, len(network.mu))),
                (series, uniform.at_mean[mean]),
            )


def _estimate(values: Sequence[float]) -> Estimate:
    if not values:
        return Estimate(math.nan)
    mean, low, high = t_interval(values)
    return Estimate(mean, low, high, Method.T) if math.isfinite(low) else Estimate(mean)


def _equal_number(equal: pd.Series[float], accuracy: float) -> float:
    """The equal number of executions with this accuracy; infinite beyond the numbers that were run."""
    numbers: Array = np.log(equal.index.to_numpy(float))
    rising = np.maximum.accumulate(equal.to_numpy(float))
    if not rising[0] <= accuracy <= rising[-1]:
        return math.nan
    return float(np.exp(np.interp(accuracy, rising, numbers)))


def _draw(family: Family[FittedSeries], network: MeasuredNetwork, found: Sequence[Scheme], folder: Path) -> Plot:
    level = level_of(network, [each for scheme in found for each in scheme.at_mean.values()])
    figure, rows = Figure(figsize=(0.6 * WIDTH, 3.0)), list[dict[str, Any]]()
    axes = figure.subplots()
    for number, scheme in enumerate(found):
        color, marker = color_and_marker(number)
        means = sorted(scheme.at_mean)
        values = [accuracies(scheme.at_mean[mean], level) for mean in means]
        axes.errorbar(
            means, [value.mean() for value in values], [value.std() if len(value) > 1 else 0.0 for value in values],
            color=color, marker=marker, markersize=3, linewidth=0.9, elinewidth=0.6, label=scheme.name,
        )  # fmt: skip
        rows += [
            {"scheme": scheme.name, "executions": mean, "mean": value.mean(), "std": value.std(), "n": len(value)}
            for mean, value in zip(means, values, strict=True)
        ]  # fmt: skip
    axes.set_xscale("log")
    ticks = sorted({mean for scheme in found for mean in scheme.at_mean})
    axes.set_xticks(ticks, map(str, ticks))
    axes.minorticks_off()
    axes.set_xlabel("budget: mean number of executions of a noisy layer")
    axes.set_ylabel("validation accuracy")
    figure.legend(loc="outside lower center", ncols=legend_columns([scheme.name for scheme in found], 0.6 * WIDTH))
    title = f"{family.title}: accuracy over the executions of noisy layers"
    caption = (
        f"At the level {format_number(level)}, close to the midpoint under global noise with one execution, "
        f"{format_number(network.everywhere.fit.mu.value)}. Executions are allocated by the midpoints of the noise "
        f"points at inference only. Bars: ± one standard deviation over the repetitions. "
        f"{run_count_sentence([each for scheme in found for each in scheme.at_mean.values()])}"
    )
    return save_figure(figure, pd.DataFrame(rows), folder, f"executions-{family.slug}", title, caption)


def _table(found: Sequence[tuple[Family[FittedSeries], MeasuredNetwork, list[Scheme]]], folder: Path) -> Table:
    rows, texts = [], []
    for family, network, named in found:
        for gain in gains(network, named):
            estimates = gain.estimates()
            numbers: dict[str, Any] = {
                "scheme": gain.scheme, "mean_executions": gain.mean, "predicted_factor": gain.predicted
            }  # fmt: skip
            for quantity, one in estimates.items():
                numbers |= {quantity: one.value, f"{quantity}_low": one.low, f"{quantity}_high": one.high}
            rows.append((family.settings[0], numbers))
            texts.append({
                "networks": family.title, "mean": str(gain.mean), "scheme": gain.scheme,
                "accuracy gained": format_estimate(estimates["accuracy"]),
                "executions saved": format_estimate(estimates["saved"]),
                "ratio of tolerated levels": format_estimate(estimates["factor"]),
                "predicted": format_number(gain.predicted, 4),
            })  # fmt: skip
    caption = (
        "Schemes against the same number of executions of every layer, with 95 % t intervals over the repetitions. "
        "Accuracy gained: at the midpoint under global noise with one execution. Executions saved: share of those that "
        "equal numbers need for the same accuracy; a dash beyond the numbers that were run. The optimum by cost has a "
        "budget of multiply-accumulates instead, those of equal numbers. Predicted: ratio of the "
        "tolerated levels if the noise variances of the points add up, each relative to what its point tolerates."
    )
    return save_table(
        with_settings(rows), pd.DataFrame(texts), folder, "executions", "Gain of tailored executions", caption
    )
