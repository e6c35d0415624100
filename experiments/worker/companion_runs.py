"""Which pending runs train together with the one that SEML started, and the claim on all of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import torch

from experiments.database.connection import Document, Runs
from experiments.database.run_status import PENDING
from experiments.database.stored_config import run_config
from experiments.worker.leases import Leases
from walking_noise import ConfigError, RunConfig, default_pack_size
from walking_noise.config.keys import pack

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
    def from_document(cls, document: Document) -> Candidate:
        try:
            return cls(document["_id"], run_config(document["config"]))
        except ConfigError as error:
            return cls(document["_id"], None, str(error))


def companion_filter(leader: Document, config: RunConfig) -> Document:
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


def pending_candidates(runs: Runs, matching: Document) -> Iterable[Candidate]:
    """Find the runs that match, in the order of their ids."""
    return map(Candidate.from_document, runs.find(matching, {"config": 1}).sort("_id", 1).limit(LOOK_AHEAD))


def choose_companions(candidates: Iterable[Candidate], trainings: int) -> list[Candidate]:
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


def lease_with_companions(
    leases: Leases, leader: Document, pack_size: int | None, device: torch.device | None, fault: str = ""
) -> list[Candidate]:
    """Claim the leader and what fits; what cannot be trained is claimed too, to be recorded as failed.

    ``fault``: why the leader cannot be trained here, if that is known.
    """
    fault = fault or _several_workers(leader)
    chosen = [Candidate(leader["_id"], None, fault) if fault else Candidate.from_document(leader)]
    config = chosen[0].config
    if config is not None:
        matching = companion_filter(leader, config)
        size = pack_size or default_pack_size(config, device)
        while True:
            wanted = choose_companions(itertools.chain(chosen, pending_candidates(leases.runs, matching)), size)
            claimed = leases.acquire(leader, matching, [candidate.id for candidate in wanted])
            chosen = [candidate for candidate in wanted if candidate.id in claimed]
            if len(chosen) == len(wanted):  # else others were faster: choose again from what they left
                return chosen
    return [candidate for candidate in chosen if candidate.id in leases.acquire(leader, {}, [])]


def _several_workers(leader: Document) -> str:
    """Why ``experiments_per_job`` above 1 is refused, if it is: it would put several packs on one device."""
    for options in leader["slurm"]:
        if options.get("array_id") is not None and options.get("experiments_per_job", 1) > 1:
            return "slurm.experiments_per_job: above 1 is refused; a worker packs runs itself, leave it out"
    return ""
