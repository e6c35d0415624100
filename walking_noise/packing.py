"""From runs to trainings to packs: who shares a network, and who trains beside whom."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from walking_noise.config import RunConfig


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


def packs(configs: Sequence[RunConfig], together: dict[str, int], lanes: int) -> Iterator[list[Training]]:
    """Split runs into packs of at most ``together[pack key]`` trainings, spread over the lanes."""
    by_key: dict[str, list[Training]] = {}
    for training in trainings(configs):
        by_key.setdefault(training.config.pack_key, []).append(training)
    for key, members in by_key.items():
        size = min(together[key], -(-len(members) // lanes))
        for start in range(0, len(members), size):
            yield members[start : start + size]


def _keeping(training: RunConfig, run: RunConfig) -> RunConfig:
    """The same training, which also keeps what ``run`` asks for."""
    return dataclasses.replace(
        training,
        training=dataclasses.replace(
            training.training, keep_network=training.training.keep_network or run.training.keep_network
        ),
        evaluation=dataclasses.replace(training.evaluation, curve=training.evaluation.curve or run.evaluation.curve),
    )
