"""Which pending runs train together with the one that SEML started."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from experiments.claims import PENDING
from experiments.database import Document, Runs
from walking_noise import ConfigError, RunConfig
from walking_noise.canonical import pack

MOST_RUNS = 4096
"""In one claim: a heartbeat of so many still takes about a second."""
ABSENT = {"$exists": False}
LOOK_AHEAD = 20_000
"""Pending runs that are looked at."""


@dataclass(frozen=True)
class Candidate:
    """A run that may be claimed: its settings, or why they cannot be used."""

    id: int
    config: RunConfig | None
    error: str = ""

    @classmethod
    def of(cls, document: Document) -> Candidate:
        try:
            return cls(document["_id"], RunConfig.from_dict(document["config"]))
        except ConfigError as error:
            return cls(document["_id"], None, str(error))


def companions(leader: Document, config: RunConfig) -> Document:
    """The filter of the runs that may share a worker and a pack with ``leader``, whose settings are ``config``.

    They are of its batch, hence of its resources, and of its Slurm array, so that cancelling one array touches no
    other; they have its sources; and they are equal in what a pack must agree in.
    """
    together = {f"config.{name}": value for name, value in pack(config).items()}
    return {
        "batch_id": leader["batch_id"],
        "status": PENDING,
        "slurm.0.array_id": leader["slurm"][0].get("array_id", ABSENT),
        "seml.source_files": leader["seml"].get("source_files", ABSENT),
        **together,
    }


def pending(runs: Runs, matching: Document) -> Iterable[Candidate]:
    """The runs that match, in the order of their ids."""
    return map(Candidate.of, runs.find(matching, {"config": 1}).sort("_id", 1).limit(LOOK_AHEAD))


def choose(candidates: Iterable[Candidate], trainings: int) -> list[Candidate]:
    """As many of the first candidates as need no more than ``trainings`` trainings.

    Runs that only evaluate a network which is trained for another one count nothing: it is trained once.
    """
    chosen: list[Candidate] = []
    needed: set[tuple[str, int | None]] = set()
    for candidate in candidates:
        training = _training(candidate.config)
        if training is None or training in needed or len(needed) < trainings:
            chosen.append(candidate)
            needed |= {training} if training else set()
        if len(chosen) == MOST_RUNS:
            break
    return chosen


def _training(config: RunConfig | None) -> tuple[str, int | None] | None:
    """What is trained for a run; runs with noise in training are evaluated as they train, with their own noise."""
    if config is None:
        return None
    return config.training_key, config.noise_seed if config.noisy_training else None
