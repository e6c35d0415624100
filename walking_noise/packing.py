"""From runs to trainings to packs: who shares a network, and who trains beside whom."""

from __future__ import annotations

import dataclasses
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from walking_noise.config import RunConfig

T = TypeVar("T")


@dataclass
class Training:
    """One network to train and the runs that are read off it.

    Attributes
    ----------
    config
        What is trained. Where training is noise-free, the run without noise.
    own
        Runs that are this training: evaluated with its own noise after each of the last epochs.
    inference_only
        Runs with noise at inference only: one pass over the trained network each.
    """

    config: RunConfig
    own: list[int] = field(default_factory=list)
    inference_only: list[int] = field(default_factory=list)

    @property
    def runs(self) -> list[int]:
        return self.own + self.inference_only


def trainings(configs: Sequence[RunConfig]) -> list[Training]:
    """The distinct trainings behind runs, in the order they are first needed; runs are given by their index."""
    found: dict[str, Training] = {}
    for index, config in enumerate(configs):
        clean = not config.noisy_training
        training = found.setdefault(config.network_key, Training(config.without_noise() if clean else config))
        training.config = _keeping(training.config, config)
        (training.inference_only if clean and config.noisy else training.own).append(index)
    return list(found.values())


def unfinished(trainings: Iterable[Training], ended: Container[int]) -> list[Training]:
    """What is left of trainings some of whose runs have ended."""
    left = [
        dataclasses.replace(
            training,
            own=[index for index in training.own if index not in ended],
            inference_only=[index for index in training.inference_only if index not in ended],
        )
        for training in trainings
    ]
    return [training for training in left if training.runs]


def packs(configs: Sequence[RunConfig], together: dict[str, int], lanes: int) -> Iterator[list[Training]]:
    """Split runs into packs of at most ``together[pack key]`` trainings, spread over the lanes.

    Trainings of one seed see the same mini-batches: a pack holds as many of each of its seeds, one seed after the
    other, so that they share them; those with noise on their input, which share none, train apart. Those with noise at
    the same point stand together.
    """
    companies: dict[tuple[str, bool], dict[int, list[Training]]] = {}
    for training in trainings(configs):
        company = companies.setdefault(company_of(training.config), {})
        company.setdefault(training.config.seed, []).append(training)
    for (key, _), of_seeds in companies.items():
        size = min(together[key], -(-sum(map(len, of_seeds.values())) // lanes))
        yield from in_packs([sorted(of_seed, key=_first_noisy) for of_seed in of_seeds.values()], size)


def company_of(config: RunConfig) -> tuple[str, bool]:
    """Equal for runs that may train in one pack: their pack key, and whether their input is noisy in training."""
    return config.pack_key, config.noisy_training and config.first_noisy_point == 0


def in_packs(of_seeds: Sequence[Sequence[T]], size: int) -> Iterator[list[T]]:
    """Packs of at most ``size`` of one company: parts of one seed, and where they are short several of equal length."""
    by_length: dict[int, list[list[T]]] = {}
    for of_seed in of_seeds:
        for part in evenly(of_seed, size):
            by_length.setdefault(len(part), []).append(part)
    for length, parts in sorted(by_length.items(), reverse=True):
        for several in evenly(parts, size // length):
            yield [member for part in several for member in part]


def _first_noisy(training: Training) -> int:
    point = training.config.first_noisy_point
    return -1 if point is None else point


def evenly(things: Sequence[T], size: int) -> Iterator[list[T]]:
    """Split into as few parts of at most ``size`` as there must be, which differ in length by one at most."""
    parts = -(-len(things) // size)
    for part in range(parts):
        yield list(things[len(things) * part // parts : len(things) * (part + 1) // parts])


def _keeping(training: RunConfig, run: RunConfig) -> RunConfig:
    """The same training, which also keeps what ``run`` asks for."""
    return dataclasses.replace(
        training,
        training=dataclasses.replace(
            training.training, keep_network=training.training.keep_network or run.training.keep_network
        ),
        evaluation=dataclasses.replace(training.evaluation, curve=training.evaluation.curve or run.evaluation.curve),
    )
