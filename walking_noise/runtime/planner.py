"""Planner: the distinct trainings that runs need, and the packs in which these are trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from walking_noise.config.run_config import RunConfig
from walking_noise.pack.partition import split_evenly

T = TypeVar("T")
PackGroup = tuple[str, bool, bool]


@dataclass
class PlannedTraining:
    """One network to train, and the indices of the runs that need it.

    The runs ``own`` are evaluated during this training, with the noise of ``config``. The runs with noise at inference
    only are evaluated once, on the trained network.
    """

    config: RunConfig  # the run that is trained; without noise at inference if it is trained without noise
    own: list[int] = field(default_factory=list)
    inference_only: list[int] = field(default_factory=list)

    @property
    def runs(self) -> list[int]:
        """Indices of all runs."""
        return self.own + self.inference_only


def plan_trainings(configs: Sequence[RunConfig]) -> list[PlannedTraining]:
    """The distinct trainings that runs need, in the order of their first run."""
    planned: dict[str, PlannedTraining] = {}
    for index, config in enumerate(configs):
        trains = config.training_only() if config.shares_network else config
        training = planned.setdefault(config.network_key, PlannedTraining(trains))
        training.config = _with_records_of(training.config, config)
        (training.inference_only if config.evaluated_once else training.own).append(index)
    return list(planned.values())


def unfinished(trainings: Iterable[PlannedTraining], ended: Container[int]) -> list[PlannedTraining]:
    """The trainings with runs that have not ended; runs that have ended are removed."""
    remaining = [
        dataclasses.replace(
            training,
            own=[index for index in training.own if index not in ended],
            inference_only=[index for index in training.inference_only if index not in ended],
        )
        for training in trainings
    ]
    return [training for training in remaining if training.runs]


def plan_packs(
    configs: Sequence[RunConfig], pack_sizes: Mapping[str, int], processes: int
) -> Iterator[list[PlannedTraining]]:
    """Plan packs of at most ``pack_sizes[pack key]`` trainings, and if possible at least one pack per process.

    Trainings of one seed share their mini-batches. To use this, a pack contains equally many trainings of each of its
    seeds, grouped by seed. Trainings with noise on their input cannot share mini-batches, and form packs of their own.
    Within a seed, trainings are sorted by their first noisy point.
    """
    groups: dict[PackGroup, dict[int, list[PlannedTraining]]] = {}
    for training in plan_trainings(configs):
        group = groups.setdefault(pack_group(training.config), {})
        group.setdefault(training.config.seed, []).append(training)
    for (key, *_), by_seed in groups.items():
        size = min(pack_sizes[key], -(-sum(map(len, by_seed.values())) // processes))
        yield from split_into_packs([sorted(of_seed, key=_first_noisy_point) for of_seed in by_seed.values()], size)


def pack_group(config: RunConfig) -> PackGroup:
    """The group of a run: its pack key, whether its noise in training is on its input, and whether it is not plain.

    A pack has runs of one group. Plain noise is Gaussian, at an absolute level, and drawn for each sample. A GPU cannot
    fuse other noise on activations, and a run must not be computed in another way because of others in its pack.
    """
    noisy, noise = config.noisy_training, config.noise
    plain = config.noise_kind.is_gaussian and noise.unit == "absolute" and config.training_redraw == "sample"
    return (
        config.pack_key,
        noisy and config.first_noisy_training_point == 0,
        noisy and noise.target == "activations" and not plain,
    )


def split_into_packs(by_seed: Sequence[Sequence[T]], size: int) -> Iterator[list[T]]:
    """Split a group into packs of at most ``size``.

    The trainings of each seed are split into parts. A pack is one long part, or several shorter ones of equal length.
    """
    by_length: dict[int, list[list[T]]] = {}
    for of_seed in by_seed:
        for part in split_evenly(of_seed, size):
            by_length.setdefault(len(part), []).append(part)
    for length, parts in sorted(by_length.items(), reverse=True):
        for several in split_evenly(parts, size // length):
            yield [member for part in several for member in part]


def _first_noisy_point(training: PlannedTraining) -> int:
    """The first noisy point of a training; -1 without noise."""
    point = training.config.first_noisy_training_point
    return -1 if point is None else point


def _with_records_of(training: RunConfig, run: RunConfig) -> RunConfig:
    """The same training, which also records whatever ``run`` does: its network, validation curve, confusion matrix."""
    keep = training.training.keep_network or run.training.keep_network
    curve = training.evaluation.curve or run.evaluation.curve
    confusion = training.evaluation.confusion or (run.evaluation.confusion and not run.evaluated_once)
    return training.model_copy(
        update={
            "training": training.training.model_copy(update={"keep_network": keep}),
            "evaluation": training.evaluation.model_copy(update={"curve": curve, "confusion": confusion}),
        }
    )
