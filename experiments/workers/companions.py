"""Which pending runs train together with the one that SEML started."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from experiments.mongodb.database import Document, Runs
from experiments.settings import run_config
from experiments.workers.claims import PENDING
from walking_noise import ConfigError, RunConfig
from walking_noise.canonical import pack

MOST_RUNS = 4096
"""A claim holds no more runs than this: a heartbeat of so many still takes about a second."""
LOOK_AHEAD = 20_000
"""Only so many pending runs are looked at for one claim."""
ABSENT = {"$exists": False}


@dataclass(frozen=True)
class Candidate:
    """A run that may be claimed: its settings, or why they cannot be used."""

    id: int
    config: RunConfig | None
    error: str = ""

    @classmethod
    def of(cls, document: Document) -> Candidate:
        try:
            return cls(document["_id"], run_config(document["config"]))
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
    """Find the runs that match, in the order of their ids."""
    return map(Candidate.of, runs.find(matching, {"config": 1}).sort("_id", 1).limit(LOOK_AHEAD))


def choose(candidates: Iterable[Candidate], trainings: int) -> list[Candidate]:
    """Choose as many of the first candidates as need no more than ``trainings`` trainings.

    Runs that only evaluate a network which is trained for another one count nothing: it is trained once.
    """
    chosen: list[Candidate] = []
    needed: set[str] = set()
    for candidate in candidates:
        network = {candidate.config.network_key} if candidate.config else set()
        if network <= needed or len(needed) < trainings:
            chosen.append(candidate)
            needed |= network
        if len(chosen) == MOST_RUNS:
            break
    return chosen
