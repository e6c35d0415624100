"""Counts of the runs of a grid file: distinct runs, shared networks, runs that train in one pack."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from experiments.plan.grid_files import GridError, Settings, expand
from walking_noise import ConfigError, RunConfig
from walking_noise.config.keys import digest
from walking_noise.runtime.planner import pack_group


class PlannedRun(NamedTuple):
    """Keys and demands of a run that ``seml add`` would add.

    Attributes
    ----------
    run, network, pack
        The run's keys, see :class:`walking_noise.RunConfig`.
    pack_group
        Equal for runs that may train in one pack, see :func:`walking_noise.runtime.planner.pack_group`.
    inference_only
        Whether it has noise at inference, but not in training.
    curve
        Whether its network is evaluated after every epoch.
    """

    run: str
    network: str
    pack: str
    pack_group: tuple[str, bool]
    seed: int
    inference_only: bool
    curve: bool

    @classmethod
    def of(cls, config: RunConfig) -> PlannedRun:
        """The planned run with these settings."""
        return cls(
            config.run_key,
            config.network_key,
            config.pack_key,
            pack_group(config),
            config.seed,
            config.noisy and not config.noisy_training,
            config.evaluation.curve,
        )


@dataclass
class RunCounts:
    """Counts of the runs of one grid file.

    Attributes
    ----------
    runs
        Number of runs that the grids give.
    noisy
        Number of these runs that are trained with noise.
    documents
        The runs that SEML distinguishes, by a key of their settings: ``seml add`` adds one document for each of them.
        Several may do the same, such as those with level 0 at different points: their run keys are equal.
    configs
        For each pack key, a run that has it.
    kept
        Number of runs that keep their network.
    """

    path: Path
    runs: int = 0
    noisy: int = 0
    documents: dict[str, PlannedRun] = field(default_factory=dict)
    configs: dict[str, RunConfig] = field(default_factory=dict)
    kept: int = 0


def count_runs(path: Path, overwrite: Settings | None = None) -> RunCounts:
    """Count the runs of a file, see :func:`experiments.plan.grid_files.expand`.

    Raises
    ------
    GridError
        The file cannot be read, or the settings of a run are invalid.
    """
    counted = RunCounts(path)
    all_settings = expand(path, overwrite)
    for settings in all_settings:
        try:
            config = RunConfig.from_dict(settings)
            planned = PlannedRun.of(config)
        except ConfigError as refusal:
            raise GridError(f"{path}: {refusal} (in the run with {_as_text(settings)})") from None
        counted.runs += 1
        counted.noisy += config.noisy_training
        counted.kept += config.training.keep_network
        counted.documents[settings_key(config)] = planned
        counted.configs.setdefault(planned.pack, config)
    return counted


def settings_key(config: RunConfig) -> str:
    """A key that is equal for runs with equal settings, which SEML takes for the same run."""
    return digest(config.to_flat())


def _as_text(settings: Settings) -> str:
    def flat(part: Settings, prefix: str = "") -> Iterable[str]:
        for name, value in part.items():
            if isinstance(value, dict):
                yield from flat(value, f"{prefix}{name}.")
            else:
                yield f"{prefix}{name}: {value}"

    return ", ".join(flat(settings))
