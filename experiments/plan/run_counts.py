"""Counts of the runs of a grid file: distinct runs, shared networks, runs that train in one pack."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from seml.utils import flatten

from experiments.database.connection import open_runs
from experiments.plan.grid_files import GridError, Settings, expand
from walking_noise import ConfigError, RunConfig
from walking_noise.config.consistency import check_last_batch
from walking_noise.config.keys import digest
from walking_noise.runtime.planner import PackGroup, pack_group
from walking_noise.training.member import LAST_EPOCHS

SAMPLES = {
    ("mnist5k", "test"): (4_000, 1_000),
    ("mnist5k", "holdout"): (3_600, 400),
    ("mnist", "test"): (60_000, 10_000),
    ("mnist", "holdout"): (54_004, 5_996),
    ("fashion_mnist", "test"): (60_000, 10_000),
    ("fashion_mnist", "holdout"): (54_000, 6_000),
    ("svhn", "test"): (73_257, 26_032),
    ("cifar10", "test"): (50_000, 10_000),
    ("cifar10", "holdout"): (45_000, 5_000),
    ("gsc", "test"): (85_511, 11_005),
}
"""Training and validation samples of the splits, by data set and ``data.validation``. Keywords change those of gsc."""


class PlannedRun(NamedTuple):
    """Keys and demands of a run that ``seml add`` would add.

    The keys are those of :class:`walking_noise.RunConfig`.
    """

    run: str
    network: str
    pack: str
    pack_group: PackGroup  # equal for runs that may train in one pack
    seed: int
    draws: int  # evaluations of the trained network; 0 if the run is evaluated in training
    in_training: int  # evaluations of its network in training
    curve: bool  # its network is evaluated after every epoch
    teacher: PlannedRun | None = None  # the run that trains its teacher

    @classmethod
    def of(cls, config: RunConfig) -> PlannedRun:
        """The planned run with these settings."""
        epochs = config.training.epochs
        last = min(LAST_EPOCHS, epochs) if config.evaluated_in_training else 0
        return cls(
            config.run_key,
            config.network_key,
            config.pack_key,
            pack_group(config),
            config.seed,
            (config.evaluation.noise_draws if config.noisy else 1) if config.evaluated_once else 0,
            epochs if config.evaluation.curve else last,
            config.evaluation.curve,
            None if config.teacher is None else cls.of(config.teacher),
        )


@dataclass
class RunCounts:
    """Counts of the runs of one grid file, or of all files together.

    ``documents`` has the runs that SEML distinguishes, by a key of their settings: ``seml add`` adds one document for
    each. Several may do the same, such as those with level 0 at different points: their run keys are equal.
    """

    name: str
    runs: int = 0  # runs that the grids give
    noisy: int = 0  # those of them that are trained with noise
    documents: dict[str, PlannedRun] = field(default_factory=dict)
    configs: dict[str, RunConfig] = field(default_factory=dict)  # for each pack key, a run that has it
    kept: int = 0  # runs that keep their network

    def add(self, other: RunCounts) -> None:
        """Add the runs of another file. Runs that both have become one document."""
        self.runs, self.noisy, self.kept = self.runs + other.runs, self.noisy + other.noisy, self.kept + other.kept
        self.documents |= other.documents
        self.configs |= other.configs


def count_runs(path: Path, overwrite: Settings | None = None) -> RunCounts:
    """Count the runs of a file, see :func:`expand`; raise :class:`GridError` if the settings of a run are invalid."""
    counted = RunCounts(str(path))
    for settings in expand(path, overwrite):
        try:
            config = RunConfig.from_dict(settings)
            planned = PlannedRun.of(config)
            if config.data.name != "gsc" and (samples := SAMPLES.get((config.data.name, config.data.validation))):
                check_last_batch(config, samples[0])
        except ConfigError as refusal:
            text = ", ".join(f"{name}: {value}" for name, value in flatten(settings).items())
            raise GridError(f"{path}: {refusal} (in the run with {text})") from None
        counted.runs += 1
        counted.noisy += config.noisy_training
        counted.kept += config.training.keep_network
        counted.documents[settings_key(config)] = planned
        counted.configs.setdefault(planned.pack, config)
    return counted


def settings_key(config: RunConfig) -> str:
    """A key that is equal for runs with equal settings, which SEML takes for the same run."""
    return digest(config.to_flat())


def present_in(collection: str) -> set[str]:
    """The settings keys of a collection's runs; runs of another version that this one cannot read are left out."""
    keys = set()
    with open_runs(collection) as runs:
        for document in runs.find({}, {"config": True}):
            with contextlib.suppress(ConfigError, KeyError):
                keys.add(settings_key(RunConfig.from_document(document["config"])))
    return keys
