"""What runs take: trainings and passes, by what packs together, and the time a measured device needs for them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from experiments.plan.run_counts import PlannedRun
from experiments.plan.throughput import Device, Kind
from walking_noise import RunConfig
from walking_noise.runtime.planner import split_into_packs
from walking_noise.training.member import LAST_EPOCHS

SAMPLES = {
    "mnist5k": (4_000, 1_000),
    "mnist": (60_000, 10_000),
    "fashion_mnist": (60_000, 10_000),
    "svhn": (73_257, 26_032),
    "cifar10": (50_000, 10_000),
    "gsc": (85_511, 11_005),
}
"""Samples that train and that validate, of the published splits; a hold-out or other words move some of them."""


@dataclass(frozen=True)
class Demand:
    """What the runs of one pack key take.

    Attributes
    ----------
    config
        One of the runs: its pack settings are those of all.
    trainings
        Different networks.
    curves
        Those of them that are evaluated after every epoch.
    passes
        Different runs with noise at inference only, one pass over the validation set each.
    companies
        Of the networks that may train beside each other, how many each seed has.
    """

    config: RunConfig
    trainings: int
    curves: int
    passes: int
    companies: tuple[tuple[int, ...], ...] = ()

    def packs(self, size: int) -> int:
        """Packs of at most so many networks."""
        return sum(len(list(split_into_packs([range(count) for count in seeds], size))) for seeds in self.companies)

    def seconds(self, device: Device) -> float | None:
        """The time that all of it takes a device; None if it was not measured, or the data set's size is not known."""
        rate = device.rate(Kind.of(self.config))
        if rate is None or self.config.data.name not in SAMPLES:
            return None
        samples, validation = SAMPLES[self.config.data.name]
        epochs = self.config.training.epochs
        steps = epochs * math.ceil(samples / self.config.training.batch_size) * self.trainings
        evaluations = epochs * self.curves + min(LAST_EPOCHS, epochs) * (self.trainings - self.curves) + self.passes
        return (steps * rate.step_seconds + evaluations * validation * rate.sample_seconds) / device.processes


def demands(documents: Iterable[PlannedRun], kinds: Mapping[str, RunConfig]) -> list[Demand]:
    """What runs take, equal ones once and shared networks once, by pack key in the order of their first run."""
    networks: dict[str, dict[str, bool]] = {}
    passes: dict[str, set[str]] = {}
    companies: dict[str, dict[tuple[str, bool], dict[int, set[str]]]] = {}
    for planned in documents:
        of_seeds = companies.setdefault(planned.pack, {}).setdefault(planned.company, {})
        of_seeds.setdefault(planned.seed, set()).add(planned.network)
        curve = networks.setdefault(planned.pack, {})
        curve[planned.network] = curve.get(planned.network, False) or planned.curve
        if planned.inference_only:
            passes.setdefault(planned.pack, set()).add(planned.run)
    return [
        Demand(
            kinds[pack],
            len(curve),
            sum(curve.values()),
            len(passes.get(pack, ())),
            tuple(tuple(map(len, of_seeds.values())) for of_seeds in companies[pack].values()),
        )
        for pack, curve in networks.items()
    ]
