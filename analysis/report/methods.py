"""Methods of a study in sentences for a paper, and how to make the report again: command, query, checksum, citation."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np

from analysis.intervals import CONFIDENCE, Method
from analysis.labels import differing_settings, format_number, label
from analysis.midpoints.study import FittedSeries, Study
from analysis.report.overview import counted, listed
from analysis.tables.contrast_tables import walks_of

LIBRARIES = ("numpy", "scipy", "pandas", "matplotlib")

PAPERS = (
    "H. Borras, B. Klein, H. Fröning: Walking Noise: Understanding Implications of Noisy Computations on "
    "Classification Tasks. arXiv:2212.10430v1, 2022.",
    "H. Borras, B. Klein, H. Fröning: Walking Noise: On Layer-Specific Robustness of Neural Architectures against "
    "Noisy Computations and Associated Characteristic Learning Dynamics. ECML PKDD 2024, arXiv:2212.10430v2.",
)
"""References of CITATION.cff."""

_SHARED = (
    "data.name", "data.transform", "data.validation", "data.keywords", "model.name", "model.batch_norm", "noise.kind",
    "noise.point", "noise.in_training", "training.epochs", "training.batch_size", "training.learning_rate",
)  # fmt: skip


@dataclass(frozen=True)
class Methods:
    """Methods of a study.

    Attributes
    ----------
    paragraph
        Sentences for the methods section of a paper.
    reproduction
        Name -> text: command line, query, checksum of the runs, versions.
    citation
        References of the software and of the method.
    """

    paragraph: Sequence[str]
    reproduction: dict[str, str]
    citation: Sequence[str]


def methods(study: Study) -> Methods:
    """Methods of a study."""
    fitted = study.fitted_series
    paragraph = [_training(study), *(_levels(fitted) if fitted else [])]
    if fitted:
        paragraph += [
            "The midpoint noise level μ of a repetition is the level at which the accuracy has lost half of what there "
            "is to lose, between the noise-free accuracy and the chance accuracy of a constant answer. It is read off "
            "a falling curve through the accuracies of the repetition (isotonic regression, then monotone cubic "
            "interpolation of their logits over log10 of the level). The μ of a series is the geometric mean over its "
            "repetitions.",
            *_intervals(fitted),
            *_contrasts(study),
        ]
    return Methods(paragraph, _reproduction(study), [f"walking_noise {version('walking_noise')}.", *PAPERS])


def shared_settings(study: Study) -> str:
    """Text of the settings that all series of a study share."""
    settings = [each.settings for each in study.fitted_series] or [each.settings for each in study.series_without_curve]
    if not settings:
        return ""
    differing = differing_settings(settings)
    return label(settings[0], [name for name in _SHARED if name not in differing])


def seed_correlation(study: Study) -> tuple[float, int] | None:
    """Correlation of log10 midpoints between the points of a walk that share a seed, and the number of walks.

    The median over the walks with two or more points of the intraclass correlation (Shrout and Fleiss 1979, case 3)
    of seeds. None without such a walk.
    """
    values = [walk.log_mu.dropna().to_numpy() for walk in walks_of(study.fitted_series) if walk.model]
    correlations = [each for each in map(_intraclass, values) if np.isfinite(each)]
    return (float(np.median(correlations)), len(correlations)) if correlations else None


def _intraclass(values: np.ndarray) -> float:
    """Intraclass correlation of the rows of ``values`` (seeds, points)."""
    seeds, points = values.shape
    if min(values.shape) < 2:
        return float("nan")
    by_seed = values.mean(axis=1, keepdims=True)
    rest = values - by_seed - values.mean(axis=0) + values.mean()
    between = points * float(((by_seed - values.mean()) ** 2).sum()) / (seeds - 1)
    within = float((rest**2).sum()) / ((seeds - 1) * (points - 1))
    total = between + (points - 1) * within
    return (between - within) / total if total > 0 else float("nan")


def _training(study: Study) -> str:
    completed = study.runs[study.runs["state"] == "completed"]
    by_column = {name: _distinct(completed[name]) for name in ("version", "torch", "device")}
    code = f"walking_noise {listed(by_column['version'])}" if by_column["version"] else "walking_noise"
    using = f" and PyTorch {listed(by_column['torch'])}" if by_column["torch"] else ""
    device = f" on {listed(by_column['device'], noun='types of device')}" if by_column["device"] else ""
    shared = shared_settings(study)
    common = f" Common to all series: {shared}." if shared else ""
    return f"{counted(len(completed), 'run')}: training and evaluation by {code}{using}{device}.{common}"


def _levels(fitted: Sequence[FittedSeries]) -> list[str]:
    levels = np.concatenate([each.series.runs["level"] for each in fitted])
    positive = levels[levels > 0]
    if len(positive) == 0:
        return []
    return [f"Noise levels: from {format_number(positive.min())} to {format_number(positive.max())}."]


def _intervals(fitted: Sequence[FittedSeries]) -> list[str]:
    used = {each.fit.mu.method for each in fitted}
    sentences = []
    if Method.T in used or Method.MODERATED in used:
        sentences.append(
            f"Intervals hold at {CONFIDENCE:.0%} for the mean over training seeds at a fixed test set: t intervals of "
            "the log10 midpoints.".replace("%", " %")
        )
    if Method.MODERATED in used:
        sentences.append(
            "Where at least eight series of the same kind of training have at most five repetitions, the variance is "
            "moderated by those of the other series (Smyth 2004), and the larger one of the series' own and the "
            "moderated variance is used."
        )
    return sentences


def _contrasts(study: Study) -> list[str]:
    found = seed_correlation(study)
    if found is None:
        return []
    correlation, walks = found
    return [
        "Points of a walk are compared by ratios of midpoints, in which the seed cancels (log10 μ = point + seed + "
        "rest); the weakest points are those of multiple comparisons with the best (Hsu 1984) at 95 %. Correlation of "
        f"the log10 midpoints between points that share a seed: {format_number(correlation, 2)} (median of "
        f"{counted(walks, 'walk')})."
    ]


def _reproduction(study: Study) -> dict[str, str]:
    collections = sorted(study.runs["collection"].unique())
    return {
        "Command": f"python -m analysis.report {' '.join(collections)}",
        "Query": f"all documents of {listed([str(name) for name in collections], 5, 'collections')}: "
        f"{len(study.runs):,}, in the order of their ids",
        "Runs, SHA-256": study.checksum,
        "Analysis": f"walking_noise {version('walking_noise')}, Python {sys.version.split()[0]}, "
        + ", ".join(f"{name} {version(name)}" for name in LIBRARIES),
    }


def _distinct(values: Iterable[object]) -> list[str]:
    return sorted({str(value) for value in values if isinstance(value, str)})
