"""Demand of runs by pack key: trainings, inference-only evaluations, and the time that a measured device needs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from experiments.plan.run_counts import SAMPLES, PlannedRun
from experiments.plan.throughput import Device, Kind
from walking_noise import DataMissing, RunConfig, data
from walking_noise.registry import is_own
from walking_noise.runtime.planner import PackGroup, split_into_packs


@dataclass(frozen=True)
class Demand:
    """Demand of the runs with one pack key.

    ``networks_per_seed`` has, for each group of networks that may train in one pack, the number of networks of each
    seed.
    """

    config: RunConfig  # one of the runs; all of them have the same pack settings
    trainings: int  # number of different networks to train
    inference_only: int  # number of different runs that are evaluated on a trained network
    evaluations: int  # passes over the validation set, in training and after it
    networks_per_seed: tuple[tuple[int, ...], ...] = ()

    def packs(self, size: int) -> int:
        """Number of packs, of at most ``size`` networks each."""
        return sum(
            len(list(split_into_packs([range(count) for count in group], size))) for group in self.networks_per_seed
        )

    def seconds(self, device: Device) -> float | None:
        """Seconds that a device needs for these runs.

        None if the device was not measured with this kind of pack, or if the size of the data set is not known.
        """
        rate, sizes = device.rate(Kind.of(self.config)), _samples(self.config)
        if rate is None or sizes is None:
            return None
        samples, validation = sizes
        epochs = self.config.training.epochs
        steps = epochs * math.ceil(samples / self.config.training.batch_size) * self.trainings
        return (steps * rate.step_seconds + self.evaluations * validation * rate.sample_seconds) / device.processes


def _samples(config: RunConfig) -> tuple[int, int] | None:
    """Training and validation samples of the run's data set; None if they are not known, or cannot be loaded."""
    if not is_own(config.data.name):
        return SAMPLES.get((config.data.name, config.data.validation), SAMPLES.get((config.data.name, "test")))
    try:
        loaded = data.load(**vars(config.data))
    except DataMissing:
        return None
    return len(loaded.train_labels), len(loaded.validation_labels)


def demands(planned_runs: Iterable[PlannedRun], configs: Mapping[str, RunConfig]) -> list[Demand]:
    """The demand of runs by pack key, in the order of the first run of each key.

    Runs with equal run keys count once, and so do shared networks, teachers among them. ``configs`` has a run for each
    pack key.
    """
    in_training: dict[str, dict[str, int]] = {}
    draws: dict[str, dict[str, int]] = {}
    groups: dict[str, dict[PackGroup, dict[int, set[str]]]] = {}
    runs = list(planned_runs)
    for run in (*runs, *(run.teacher for run in runs if run.teacher)):
        by_seed = groups.setdefault(run.pack, {}).setdefault(run.pack_group, {})
        by_seed.setdefault(run.seed, set()).add(run.network)
        of_networks = in_training.setdefault(run.pack, {})
        of_networks[run.network] = max(of_networks.get(run.network, 0), run.in_training)
        if run.draws:
            draws.setdefault(run.pack, {})[run.run] = run.draws
    return [
        Demand(
            configs[pack],
            len(of_networks),
            len(draws.get(pack, ())),
            sum(of_networks.values()) + sum(draws.get(pack, {}).values()),
            tuple(tuple(map(len, by_seed.values())) for by_seed in groups[pack].values()),
        )
        for pack, of_networks in in_training.items()
    ]
