"""Midpoint noise levels of one trained network, point by point, with levels that are chosen as the sweep goes.

A first sweep with few samples finds where the accuracy falls below the middle of its noise-free value and that of a
constant answer. A second one with all samples covers the fall there, down to levels that cost a few percent, and more
closely around these where the fall is steep. Samples and noise are resampled together for the interval: every sample
has draws of its own, so the bootstrap over the samples (Efron 1979, percentile interval) covers both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.errors import AnalysisError
from analysis.intervals import CONFIDENCE
from analysis.midpoints.curves.repetition_curve import RepetitionCurve
from analysis.midpoints.flags import Flag
from analysis.midpoints.midpoint import LEAST_FALL
from analysis.processes import shared_out, usable_cores

if TYPE_CHECKING:
    from torch import Tensor, nn

    from walking_noise.evaluation.noise_sweep import NoiseSweep

Correct = NDArray[np.bool_]
LOSSES = (0.01, 0.05)
"""Losses of accuracy, as shares of what there is to lose, whose levels stand beside the midpoint."""
FEW = 256
"""Samples of the first sweep."""
FACTOR = 4.0
"""Ratio of neighbouring levels of the first sweep."""
DECADES = 8
"""Decades above and below the root mean square of the values within which the fall is searched."""
LEVELS = (1 / 32, 1 / 8, 1 / 4, 1 / 2, 1.0, 2.0)
"""Levels of the second sweep, relative to the one next to the midpoint that the first one estimates. Lower ones follow
while all may cost more than the smallest of :data:`LOSSES`, higher ones while all may cost less than half."""
STEEP = 4.0
NEAR = 1.5
"""Around the level of a loss, levels are swept until the next higher one loses at most :data:`STEEP` times as much, and
the next lower one at least as little, or is within the factor :data:`NEAR`."""
MOST_LEVELS = 18
"""A round that ends with more levels than this is the last."""
RESAMPLES = 400
"""Resamples of the bootstrap."""


@dataclass(frozen=True, eq=False)
class PointSweep:
    """Sweep of levels at one noise point.

    Attributes
    ----------
    level : (levels,)
        Levels, the lowest first; the first is 0.
    correct : (levels, samples)
        Whether each sample was classified correctly.
    """

    level: NDArray[np.float64]
    correct: Correct


def look(
    network: nn.Module,
    data: Iterable[Any],
    *,
    points: str = "products",
    kind: str = "additive",
    samples: int = 2000,
    chance_accuracy: float | None = None,
    seed: int = 0,
    progress: Callable[[int, int, str], None] = lambda done, total, name: None,
) -> pd.DataFrame:
    """The midpoint noise level of every noise point of a trained network, for noise at inference.

    On the CPU a process for each core takes one noise point after another, at most ``torch.get_num_threads()`` of them.

    Parameters
    ----------
    network
        Maps a batch of samples to logits; any torch module.
    data
        A loader of batches ``(samples, labels)``, such as a :class:`torch.utils.data.DataLoader`, of validation data
        in random order.
    points
        The noise points: ``products`` (the outputs of the modules that multiply and accumulate, and the input),
        ``modules``, or a pattern of module names; each also with ``+residual``.
    kind
        A kind of noise with one level. ``additive`` and ``uniform``: the level is the standard deviation;
        ``multiplicative``: the standard deviation relative to the value; ``quantisation``: the step relative to the
        range of each sample, for ``log2(1 + 1/level)`` bits.
    samples
        The number of samples; the first ones of the loader.
    chance_accuracy
        The accuracy of a constant answer; default: the share of the most frequent class among these samples.
    progress
        Called after each noise point, with the number of finished ones, the number of all, and the name.

    Returns
    -------
    DataFrame
        A row per noise point, in the order of the forward pass: ``point``, ``layer``, ``multiply_accumulates``,
        ``rms`` (root mean square of the values that arrive), ``mu`` with ``low`` and ``high`` (95 % interval over the
        noise draws and the validation samples of this one network, not over trainings), ``mu_relative`` (``mu`` as a
        multiple of ``rms``; ``mu`` itself for noise that is not additive), ``loss_1`` and ``loss_5`` with their
        intervals: the levels at which 1 and 5 % of what there is to lose is lost; ``flag``: the reason why ``mu`` is
        missing. ``attrs`` has ``accuracy``, ``chance_accuracy``, ``samples``, ``points``, and ``sweeps``, a
        :class:`analysis.midpoints.trained_network.PointSweep` by point.

    Raises
    ------
    AnalysisError
        The network or the data cannot be used, or the network is hardly better than a constant answer.
    """
    import torch

    from walking_noise.errors import reason
    from walking_noise.evaluation.noise_sweep import NoiseSweep, kinds_with_one_level

    kinds = kinds_with_one_level()
    if kind not in kinds:
        raise AnalysisError(f"kind {kind!r}: allowed: {', '.join(kinds)}")
    x, labels = _first_samples(data, samples)
    try:
        device = next((parameter.device for parameter in network.parameters()), x.device)
        sweep = NoiseSweep(network, x.to(device), labels.to(device), points, kind)
    except Exception as error:
        text = str(error) if isinstance(error, ValueError) else reason(error)
        raise AnalysisError(f"the network cannot be used: {text}") from error
    clean = float(sweep.clean.double().mean())
    chance = int(labels.bincount().max()) / len(labels) if chance_accuracy is None else chance_accuracy
    if clean < chance + LEAST_FALL:
        raise AnalysisError(
            f"the network classifies {clean:.1%} of {len(labels)} samples correctly, a constant answer "
            f"{chance:.1%}; give a trained network, and samples in random order"
        )
    processes = min(usable_cores(), torch.get_num_threads()) if device.type == "cpu" else 1

    def at_point(number: int) -> tuple[dict[str, Any], PointSweep]:
        if processes > 1:
            torch.set_num_threads(1)  # a process for each core; threads would wait for each other
        point, rms = sweep.points[number], sweep.rms[number]
        relative_to = rms if kinds[kind].adds else 1.0
        swept, flag = sweep_point(sweep, number, relative_to or 1.0, chance, seed)
        row: dict[str, Any] = {"point": str(point), "layer": point.layer}
        row |= {"multiply_accumulates": point.multiply_accumulates, "rms": rms}
        row |= {**estimates(swept, chance, seed), "flag": flag}
        row["mu_relative"] = row["mu"] / relative_to if relative_to else math.nan
        return row, swept

    found: dict[int, tuple[dict[str, Any], PointSweep]] = {}
    for number, result in shared_out(at_point, len(sweep.points), processes):
        found[number] = result
        progress(len(found), len(sweep.points), sweep.points[number].name)
    rows, sweeps = zip(*(found[number] for number in sorted(found)), strict=True)
    table = pd.DataFrame(list(rows))
    table.attrs |= {"accuracy": clean, "chance_accuracy": chance, "samples": len(labels), "points": sweep.points}
    table.attrs["sweeps"] = dict(zip(table["point"], sweeps, strict=True))
    return table


def sweep_point(
    sweep: NoiseSweep, point: int, start: float, chance_accuracy: float, seed: int = 0
) -> tuple[PointSweep, str]:
    """Sweep the levels of the fall at one noise point; the reason if there is no fall within :data:`DECADES`."""
    middle, flag = _find_fall(sweep, point, start, chance_accuracy, seed)
    clean = sweep.clean.cpu().numpy()
    levels, correct = np.empty(0), np.empty((0, len(clean)), bool)
    wanted = {middle * factor for factor in LEVELS}
    while wanted:
        more = sorted(wanted)
        swept = sweep.correct(point, more, None, seed).cpu().numpy()
        places = np.searchsorted(levels, more)
        levels, correct = np.insert(levels, places, more), np.insert(correct, places, swept, axis=0)
        lost = (clean[None].astype(float) - correct) / (clean.mean() - chance_accuracy)
        wanted = set() if flag or len(levels) > MOST_LEVELS else _further_levels(levels, lost)
    return PointSweep(np.array([0.0, *levels]), np.concatenate([clean[None], correct])), flag


def _further_levels(levels: NDArray[np.float64], lost: NDArray[np.float64]) -> set[float]:
    """The levels that are still missing, from what each sample has lost at each level."""
    means, errors = lost.mean(1), lost.std(1) / math.sqrt(lost.shape[1])
    between = {_level_between(levels, means, loss) for loss in (*LOSSES, 0.5)}
    if means[-1] - 3 * errors[-1] < 0.5:
        between.add(levels[-1] * 2)
    if means[0] + 2 * errors[0] > min(LOSSES):
        between.add(levels[0] / 4)
    return {level for level in between if level is not None}


def _level_between(levels: NDArray[np.float64], lost: NDArray[np.float64], loss: float) -> float | None:
    """A further level next to that of a loss; None if the two levels around it are close enough."""
    lost = np.maximum.accumulate(lost)
    above = int(np.searchsorted(lost, loss))
    if not 0 < above < len(levels):
        return None
    low, high = levels[above - 1], levels[above]
    close = lost[above] <= STEEP * loss and (lost[above - 1] >= loss / STEEP or high < NEAR * low)
    return None if close else math.sqrt(low * high)


def _find_fall(sweep: NoiseSweep, point: int, start: float, chance_accuracy: float, seed: int) -> tuple[float, str]:
    """The middle of the fall, ``start`` times a power of two; the last level and a flag if there is no fall."""
    middle = (float(sweep.clean[:FEW].double().mean()) + chance_accuracy) / 2
    accuracies: dict[int, float] = {}
    steps, furthest = list(range(-1, 2)), math.ceil(DECADES / math.log10(FACTOR))
    while True:
        correct = sweep.correct(point, [start * FACTOR**step for step in steps], FEW, seed)
        accuracies |= dict(zip(steps, correct.double().mean(1).tolist(), strict=True))
        first = min((step for step, accuracy in accuracies.items() if accuracy < middle), default=None)
        if first is not None and first - 1 in accuracies:
            above, below = accuracies[first - 1], accuracies[first]
            halves = round(2 * (above - middle) / (above - below))  # quantisation divides its range by powers of two
            return start * FACTOR ** (first - 1 + halves / 2), ""
        edge = max(accuracies) if first is None else min(accuracies)
        if abs(edge) >= furthest:
            return start * FACTOR**edge, str(Flag.ABOVE_RANGE if first is None else Flag.BELOW_RANGE)
        steps = list(range(edge + 1, edge + 5)) if first is None else list(range(edge - 4, edge))


def estimates(sweep: PointSweep, chance_accuracy: float, seed: int = 0) -> dict[str, float]:
    """Midpoint and levels at :data:`LOSSES` of a sweep, each with its interval; NaN where there is none."""
    shares = {"mu": 0.5, **{f"loss_{100 * loss:g}": 1 - loss for loss in LOSSES}}
    whole = _levels(sweep.level, sweep.correct.mean(1), shares.values(), chance_accuracy)
    random, samples = np.random.default_rng(seed), sweep.correct.shape[1]
    counts = random.multinomial(samples, np.full(samples, 1 / samples), RESAMPLES)
    accuracies = counts @ sweep.correct.T.astype(float) / samples
    resampled = np.array([_levels(sweep.level, one, shares.values(), chance_accuracy) for one in accuracies])
    row: dict[str, float] = {}
    for (name, _), value, values in zip(shares.items(), whole, resampled.T, strict=True):
        low, high = _interval(value, values)
        row |= {name: value if 0 < value < math.inf else math.nan, _bound(name, "low"): low, _bound(name, "high"): high}
    return row


def _bound(name: str, side: str) -> str:
    return side if name == "mu" else f"{name}_{side}"


def _interval(value: float, resampled: NDArray[np.float64]) -> tuple[float, float]:
    """The percentile interval, extended to the estimate itself; NaN if an end lies beyond the sampled levels."""
    order = np.sort(resampled)
    low, high = order[[int(len(order) * (1 - CONFIDENCE) / 2), int(len(order) * (1 + CONFIDENCE) / 2)]]
    if not all(map(math.isfinite, (value, low, high))) or low == 0:
        return math.nan, math.nan
    return min(float(low), value), max(float(high), value)


def _levels(
    level: NDArray[np.float64], accuracy: NDArray[np.float64], shares: Iterable[float], chance_accuracy: float
) -> list[float]:
    curve = RepetitionCurve(level, accuracy, accuracy[0])
    if curve.a_max < chance_accuracy + LEAST_FALL:
        return [0.0 for _ in shares]
    beyond = {Flag.BELOW_RANGE: 0.0, Flag.ABOVE_RANGE: math.inf}
    found = [curve.level_at(share, chance_accuracy) for share in shares]
    return [beyond[one] if isinstance(one, Flag) else one for one in found]


def _first_samples(data: Iterable[Any], count: int) -> tuple[Tensor, Tensor]:
    """The first samples of a loader, and their labels."""
    import torch

    batches: list[tuple[Tensor, Tensor]] = []
    for batch in data:
        if (
            not isinstance(batch, Sequence)
            or len(batch) != 2
            or not all(isinstance(part, torch.Tensor) for part in batch)
        ):
            raise AnalysisError("the loader must return pairs of tensors, samples and labels")
        batches.append((batch[0], batch[1]))
        if sum(len(labels) for _, labels in batches) >= count:
            break
    if not batches:
        raise AnalysisError("the loader has no samples")
    x, labels = (torch.cat(parts)[:count] for parts in zip(*batches, strict=True))
    if labels.dim() != 1 or labels.is_floating_point() or int(labels.min()) < 0:
        raise AnalysisError("labels must be numbers of classes, 0, 1, …, one for each sample")
    return x, labels.long()
