"""What a file asks for, run by run: which are the same, which share a network, which pack together."""

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
    """A run as a document would hold it: its keys (:class:`walking_noise.RunConfig`), and what it takes.

    ``company`` is that of its training (:func:`walking_noise.runtime.planner.pack_group`).
    """

    run: str
    network: str
    pack: str
    company: tuple[str, bool]
    seed: int
    inference_only: bool
    curve: bool

    @classmethod
    def of(cls, config: RunConfig) -> PlannedRun:
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
    """What one file asks for.

    Attributes
    ----------
    runs
        As many as the grids give.
    noisy
        How many of them are trained with noise.
    documents
        The different runs as SEML tells them apart, by their settings: as many documents as ``seml add`` makes.
        Several may do the same, such as those with level 0 at different points: their run keys are equal.
    kinds
        For every pack key a run that has it.
    kept
        How many runs keep their network.
    """

    path: Path
    runs: int = 0
    noisy: int = 0
    documents: dict[str, PlannedRun] = field(default_factory=dict)
    kinds: dict[str, RunConfig] = field(default_factory=dict)
    kept: int = 0


def count_runs(path: Path, overwrite: Settings | None = None) -> RunCounts:
    """Count the runs of a file, as :func:`experiments.plan.grid_files.expand` gives them.

    Raises
    ------
    GridError
        It cannot be read, or a run of it is refused.
    """
    counted = RunCounts(path)
    settings = expand(path, overwrite)
    for given in settings:
        try:
            config = RunConfig.from_dict(given)
            planned = PlannedRun.of(config)
        except ConfigError as refusal:
            raise GridError(f"{path}: {refusal} (of a run with {_words(given)})") from None
        counted.runs += 1
        counted.noisy += config.noisy_training
        counted.kept += config.training.keep_network
        counted.documents[settings_key(config)] = planned
        counted.kinds.setdefault(planned.pack, config)
    return counted


def settings_key(config: RunConfig) -> str:
    """Equal for runs that SEML takes for the same: all their settings are."""
    return digest(config.to_flat())


def _words(given: Settings) -> str:
    def flat(part: Settings, prefix: str = "") -> Iterable[str]:
        for name, value in part.items():
            if isinstance(value, dict):
                yield from flat(value, f"{prefix}{name}.")
            else:
                yield f"{prefix}{name}: {value}"

    return ", ".join(flat(given))
