"""Companion runs: the choice of pending runs that train together with the leader, and the lease of all of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import torch

from experiments.database.connection import Document, Runs
from experiments.database.run_status import PENDING
from experiments.worker.leases import Leases
from experiments.worker.pack_limits import PackLimit
from walking_noise import ConfigError, RunConfig
from walking_noise.config.keys import pack
from walking_noise.runtime.sizing.capacity import default_pack_size

MOST_RUNS = 4096
"""The largest number of runs that a worker leases. A heartbeat of this many runs takes about a second."""
LOOK_AHEAD = 20_000
"""The largest number of pending runs that are read to choose companions."""
ABSENT = {"$exists": False}


@dataclass(frozen=True)
class Candidate:
    """A run that a worker may lease: its settings, or None and the reason why they are invalid."""

    id: int
    config: RunConfig | None
    error: str = ""

    @classmethod
    def from_document(cls, document: Document) -> Candidate:
        try:
            return cls(document["_id"], RunConfig.from_document(document["config"]))
        except ConfigError as error:
            return cls(document["_id"], None, str(error))


def companion_filter(leader: Document, config: RunConfig) -> Document:
    """The filter of pending runs that can share a worker and a pack with ``leader``, whose settings are ``config``.

    They belong to the leader's batch and therefore request the same resources. They belong to its Slurm array, so that
    cancelling one array does not affect another. They have the same source files, and the settings that must be equal
    within a pack.
    """
    pack_settings = {f"config.{name}": value for name, value in pack(config).items()}
    return {
        "batch_id": leader["batch_id"],
        "status": PENDING,
        "slurm.0.array_id": leader["slurm"][0].get("array_id", ABSENT),
        **pack_settings,
        **_same_sources(leader),
    }


def _same_sources(leader: Document) -> Document:
    """The filter of runs with the leader's source files.

    It compares the first file only: SEML stores all files under new ids whenever it stores them. Comparing the list
    would take the embedded database most of a claim.
    """
    files = leader["seml"].get("source_files")
    return {"seml.source_files.0": files[0]} if files else {"seml.source_files": ABSENT if files is None else files}


def pending_candidates(runs: Runs, matching: Document) -> Iterable[Candidate]:
    """The runs that match the filter ``matching``, in the order of their ids."""
    return map(Candidate.from_document, runs.find(matching, {"config": 1}).sort("_id", 1).limit(LOOK_AHEAD))


def choose_companions(candidates: Iterable[Candidate], trainings: int) -> list[Candidate]:
    """Choose candidates, in order, that together need at most ``trainings`` trainings.

    Runs with the same training share one network, so only the first of them counts.
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
    leases: Leases, leader: Document, pack_size: int | None, device: torch.device | None, error: str = ""
) -> list[Candidate]:
    """Lease the leader and its companions; return the leased runs, or none if the leader is no longer available.

    Runs with invalid settings are leased too, so that the worker can record them as failed. A leader that cannot be
    trained, for example because of a known ``error``, is leased without companions.
    """
    error = error or _several_workers_error(leader)
    chosen = [Candidate(leader["_id"], None, error) if error else Candidate.from_document(leader)]
    config = chosen[0].config
    if config is not None:
        matching = companion_filter(leader, config)
        limit = PackLimit(leases.runs, config, device).size
        size = pack_size or default_pack_size(config, device, limit)
        while True:
            wanted = choose_companions(itertools.chain(chosen, pending_candidates(leases.runs, matching)), size)
            leased = leases.acquire(leader, matching, [candidate.id for candidate in wanted])
            chosen = [candidate for candidate in wanted if candidate.id in leased]
            if len(chosen) == len(wanted):  # otherwise other workers leased some of them: choose again
                return chosen
    return [candidate for candidate in chosen if candidate.id in leases.acquire(leader, {}, [])]


def _several_workers_error(leader: Document) -> str:
    """An error if ``experiments_per_job`` is above 1, else an empty string: it would put several packs on a device."""
    for options in leader["slurm"]:
        if options.get("array_id") is not None and options.get("experiments_per_job", 1) > 1:
            return "slurm.experiments_per_job: above 1 is refused; leave it out, because a worker packs runs itself"
    return ""
