"""Slurm arrays for runs: the runs of each array, and its number of tasks, which is that of the leases of its workers.

A task leases a pack on a GPU, and several packs on a CPU: it starts with any PENDING run of its array, and leases
companions. All runs of an array are therefore PENDING in the same way, and none has a task of its own. An array has one
task for each lease that its runs need. Runs remain PENDING if leases turn out smaller than planned, or if a worker
releases its runs and its task does not come back. Tasks of the array that have no lease yet will lease them; without
such a task, the next ``walking-noise start`` submits them in another array
(:meth:`experiments.submit.startable_runs.Startable.restage_from_slurm`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch

from experiments.database.connection import Document
from experiments.plan.study_plan import together_on
from experiments.plan.throughput import Device
from experiments.worker.companion_runs import MOST_RUNS
from experiments.worker.worker_options import exported
from walking_noise import ConfigError, RunConfig
from walking_noise.runtime.sizing.capacity import default_pack_size

LeaseSize = Callable[[RunConfig], int]
"""Number of networks that a worker leases at once, for the settings of a run."""
SLURM_GPU_OPTIONS = ("gres", "gpus", "gpus-per-node", "gpus-per-socket", "gpus-per-task", "G")


@dataclass(frozen=True)
class TaskArray:
    """An array to submit: the ids of its runs, and its number of tasks."""

    ids: Sequence[int]
    tasks: int


@dataclass(frozen=True)
class _Run:
    """A run, its pack and its network, which are equal for runs that share them.

    ``config`` has seed 0, and is None if the settings are invalid.
    """

    id: int
    config: RunConfig | None = None
    pack: str = ""
    network: tuple[str, int] = ("", 0)


def task_arrays(
    documents: Iterable[Document], size: int, lease_size: Callable[[Document], LeaseSize]
) -> Iterator[TaskArray]:
    """Arrays for the runs of ``documents``, sorted by their batch; an array has at most ``size`` runs of one batch.

    Runs that may share a pack, and first of all those that share a network, are in one array if possible.
    ``lease_size`` returns for a run of a batch the function that gives the size of its workers' leases.
    """
    for _, of_batch in groupby(documents, key=lambda document: document["batch_id"]):
        batch = list(of_batch)
        size_of = lease_size(batch[0])
        runs = _grouped(_runs(batch))
        most = min(size, MOST_RUNS)
        for first in range(0, len(runs), most):
            part = runs[first : first + most]
            yield TaskArray([run.id for run in part], _leases(part, size_of))


def lease_size(run: Document, devices: Sequence[Device], limits: Mapping[str, int]) -> LeaseSize:
    """The function that gives the size of the leases of the workers of ``run`` and of its batch, from their settings.

    That is the option of the batch, if there is one. Otherwise it is the pack size that ``walking-noise plan`` takes,
    or that of the packs for the CPUs of a task if the batch requests no GPU. ``limits``: the largest packs that may fit
    in memory, by pack key, of those that have run out of it on any type of device.
    """
    slurm = run["slurm"]
    option = {**(run["seml"].get("env") or {}), **exported(slurm)}.get("WALKING_NOISE_PACK_SIZE", "")
    if option.isdecimal():
        return lambda config: max(int(option), 1)
    requests = [options.get("sbatch_options", {}) for options in slurm]
    if any(name in request for request in requests for name in SLURM_GPU_OPTIONS):
        together = together_on(devices[0] if devices else None)
        return lambda config: min(together(config), limits.get(config.pack_key, MOST_RUNS))
    cores = min((int(request.get("cpus-per-task", request.get("c", 1))) for request in requests), default=1)
    cpu = torch.device("cpu")
    return lambda config: default_pack_size(config, cpu, limits.get(config.pack_key), processes=cores)


def _runs(documents: Iterable[Document]) -> Iterator[_Run]:
    """The runs of documents. Settings that differ in the seed alone are checked once, which is most of the time."""
    known: dict[str, _Run] = {}
    for document in documents:
        seed = document["config"].get("seed", 0)
        settings = {**document["config"], "seed": 0}
        key = repr(settings)
        if key not in known:
            try:
                config = RunConfig.from_document(settings)
                known[key] = _Run(0, config, config.pack_key, (config.network_key, 0))
            except ConfigError:
                known[key] = _Run(0)
        equal = known[key]
        yield _Run(document["_id"], equal.config, equal.pack, (equal.network[0], seed))


def _grouped(runs: Iterable[_Run]) -> list[_Run]:
    """The runs, sorted by their packs and networks, each in the order of its first run."""
    packs: dict[str, dict[tuple[str, int], list[_Run]]] = {}
    for run in runs:
        packs.setdefault(run.pack, {}).setdefault(run.network, []).append(run)
    return [run for networks in packs.values() for of_network in networks.values() for run in of_network]


def _leases(runs: Sequence[_Run], size: LeaseSize) -> int:
    """Number of leases of the runs; a run with invalid settings, which its worker sets to FAILED, counts as one."""
    configs = {run.pack: run.config for run in runs}
    networks = Counter(pack for pack, _ in {(run.pack, run.network) for run in runs})
    leases = sum(-(-networks[pack] // size(config)) for pack, config in configs.items() if config is not None)
    return leases + sum(run.config is None for run in runs)
