"""First screen of the report in sentences: what was measured, how sure the midpoints are, and what is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.intervals import Method
from analysis.labels import cell_text, differing_settings, label
from analysis.midpoints.flags import Flag
from analysis.midpoints.study import FittedSeries, Study
from analysis.runs.series import Settings
from analysis.tables.run_accounting import failure_causes, state_counts

NETWORK = ("data.name", "model.name", "model.batch_norm")
"""Settings that name a network."""
_MOST_NAMES = 3
_MOST_CAUSES = 3
_PLACES = {"global": "at all noise points together", "walking": "at one noise point at a time"}


@dataclass(frozen=True)
class Overview:
    """Texts of the first screen.

    Attributes
    ----------
    title
        Models and data sets.
    measured
        Sentence on runs, noise and repetitions.
    certainty
        Sentences on intervals and flags.
    missing
        Sentences on runs without a result and on series without a midpoint. The first says if nothing is missing.
    """

    title: str
    measured: str
    certainty: Sequence[str]
    missing: Sequence[str]


def overview(study: Study) -> Overview:
    """Texts of the first screen of a study."""
    settings = [each.settings for each in study.fitted_series] or [each.settings for each in study.series_without_curve]
    return Overview(_title(settings), _measured(study, settings), _certainty(study), _missing(study))


def counted(number: int, noun: str) -> str:
    """A number with its noun: ``1 run``, ``1,302 runs``."""
    plural = noun if noun.endswith("series") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"


def listed(texts: Sequence[str], most: int = _MOST_NAMES, noun: str = "more") -> str:
    """Texts with commas and ``and``; only their number if there are more than ``most``."""
    if len(texts) > most:
        return f"{len(texts)} {noun}"
    return " and ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)


def _distinct(settings: Iterable[Settings], name: str) -> list[str]:
    return list(dict.fromkeys(cell_text(name, each[name]) for each in settings))


def _title(settings: Sequence[Settings]) -> str:
    if not settings:
        return "Noise tolerance of neural networks"
    models = listed(_distinct(settings, "model.name"), noun="models")
    return f"Noise tolerance of {models} on {listed(_distinct(settings, 'data.name'), noun='data sets')}"


def _measured(study: Study, settings: Sequence[Settings]) -> str:
    total = state_counts(study.runs).drop(columns="collection").sum()
    collections = listed([str(name) for name in study.runs["collection"].unique()], 5, "collections")
    noun = "collection " if study.runs["collection"].nunique() < 6 else ""
    start = f"{counted(int(total['planned']), 'run')} ({noun}{collections})"
    fitted = study.fitted_series
    if not fitted:
        return f"{start}, without a robustness curve."
    kinds = listed([text.replace("-", " ") for text in _distinct(settings, "noise.kind")], 4, "kinds of")
    points = {"walking" if isinstance(each["noise.point"], int) else str(each["noise.point"]) for each in settings}
    places = listed([text for name, text in _PLACES.items() if name in points])
    trainings = listed(_distinct(settings, "noise.in_training")).replace("with noise", "in training and at inference")
    levels = [each.series.runs["level"].nunique() for each in fitted]
    repetitions = [len(each.fit.repetitions.outcomes) for each in fitted]
    return (
        f"{start} give {counted(len(fitted), 'series')} of accuracies over the noise level: {kinds} noise {places}, "
        f"{trainings}; {_range(levels)} levels, each with "
        f"{_range(repetitions)} repetition{'s' * (max(repetitions) != 1)} (training seeds).{_noise_free(fitted)}"
    )


def _noise_free(fitted: Sequence[FittedSeries]) -> str:
    """Sentence on the accuracies before the falls, from the lowest to the highest of the series of each network."""
    networks: dict[str, list[float]] = {}
    known = [each for each in fitted if each.fit.mu.is_known]
    names = [name for name in NETWORK if name in differing_settings([each.settings for each in known])] if known else []
    for each in known:
        networks.setdefault(label(each.settings, names) if names else "", []).append(100 * each.fit.a_max.value)
    if len(networks) > _MOST_NAMES:
        networks = {f"{len(networks)} networks": [share for shares in networks.values() for share in shares]}
    texts = [
        (f"{name} " if name else "") + " to ".join(dict.fromkeys(f"{end(shares):.1f}" for end in (min, max))) + " %"
        for name, shares in networks.items()
    ]
    return f" Noise-free accuracy: {'; '.join(texts)}." if texts else ""


def _range(numbers: Iterable[int]) -> str:
    distinct = sorted(set(numbers))
    return str(distinct[0]) if len(distinct) == 1 else f"{distinct[0]} to {distinct[-1]}"


def _certainty(study: Study) -> list[str]:
    fits = [each.fit for each in study.fitted_series]
    methods = Counter(fit.mu.method for fit in fits)
    with_interval = sum(number for method, number in methods.items() if method != Method.NONE)
    sentences = [f"{with_interval:,} of {counted(len(fits), 'midpoint')} have a 95 % interval."] if fits else []
    if methods[Method.MODERATED]:
        sentences.append(
            f"{methods[Method.MODERATED]:,} of the intervals pool the variance over similar series (moderated t)."
        )
    flags = Counter(flag for fit in fits for flag in fit.flags)
    return sentences + [f"{counted(flags[flag], 'series')}: {flag}." for flag in Flag if flags[flag]]


def _missing(study: Study) -> list[str]:
    total = state_counts(study.runs).drop(columns="collection").sum()
    states = [f"{total[name]:,} {name}" for name in ("failed", "running", "pending", "staged", "other") if total[name]]
    if not states:
        sentences = [f"No result is missing: all {total['planned']:,} planned runs have completed."]
    else:
        sentences = [f"{total['completed']:,} of {counted(int(total['planned']), 'planned run')} have completed"]
        sentences[0] += f" ({', '.join(states)})."
    sentences += _causes(failure_causes(study.runs))
    if total["overflow"]:
        sentences.append(f"{counted(int(total['overflow']), 'run')} with float32 overflow: left out of all means.")
    if total["diverged"]:
        sentences.append(
            f"{counted(int(total['diverged']), 'run')} diverged in training and count with chance accuracy."
        )
    if total["repeated"]:
        sentences.append(f"{counted(int(total['repeated']), 'run')} repeated: equal to another run, counted once.")
    without = sum(not each.fit.mu.is_known for each in study.fitted_series)
    if without:
        sentences.append(f"{counted(without, 'series')} without a midpoint: only a bound, or nothing, is known.")
    return sentences


def _causes(causes: pd.DataFrame) -> list[str]:
    by_cause = causes.groupby("cause", sort=False)["runs"].sum().sort_values(ascending=False, kind="stable")
    sentences = [f"{counted(int(number), 'run')}: {cause}" for cause, number in by_cause[:_MOST_CAUSES].items()]
    more = len(by_cause) - _MOST_CAUSES
    return sentences + ([f"{counted(more, 'further cause')} in the list of failed runs."] if more > 0 else [])
