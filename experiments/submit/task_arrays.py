"""Slurm arrays for runs: the runs of each array, and its number of tasks, which is that of the packs of these runs.

A task leases a pack, not a run: it starts with any PENDING run of its array, and leases companions. All runs of an
array are therefore PENDING in the same way, and none has a task of its own. An array has one task for each pack that
the planner of ``walking-noise plan`` finds in its runs. Runs remain PENDING if packs turn out smaller than planned, or
if a worker releases its runs and its task does not come back. Tasks of the array that have no pack yet will lease them;
without such a task, the next ``walking-noise start`` submits them in another array
(:meth:`experiments.submit.startable_runs.Startable.restage_from_slurm`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch

from experiments.database.connection import Document
from experiments.plan.study_plan import together_on
from experiments.plan.throughput import Device
from experiments.worker.companion_runs import MOST_RUNS
from experiments.worker.worker_options import exported
from walking_noise import ConfigError, RunConfig
from walking_noise.runtime.planner import PackGroup, pack_group, split_into_packs
from walking_noise.runtime.sizing.capacity import training_pack_size

PackSize = Callable[[RunConfig], int]
SLURM_GPU_OPTIONS = ("gres", "gpus", "gpus-per-node", "gpus-per-socket", "gpus-per-task", "G")


@dataclass(frozen=True)
class TaskArray:
    """An array to submit: the ids of its runs, and its number of tasks."""

    ids: Sequence[int]
    tasks: int


@dataclass(frozen=True)
class _Run:
    """A run, and what decides its pack; ``config`` has seed 0, and is None if the settings are invalid.

    Runs with equal networks have the same ``network``.
    """

    id: int
    config: RunConfig | None = None
    pack: str = ""
    group: PackGroup | None = None
    network: tuple[str, int] = ("", 0)
    seed: int = 0


def task_arrays(
    documents: Iterable[Document], size: int, pack_size: Callable[[Document], PackSize]
) -> Iterator[TaskArray]:
    """Arrays for the runs of ``documents``, sorted by their batch; an array has at most ``size`` runs of one batch.

    Runs that may share a pack, and first of all those that share a network, are in one array if possible.
    ``pack_size`` returns for a run of a batch the function that gives the pack size of its workers.
    """
    for _, of_batch in groupby(documents, key=lambda document: document["batch_id"]):
        batch = list(of_batch)
        size_of = pack_size(batch[0])
        runs = _grouped(_runs(batch))
        most = min(size, MOST_RUNS)
        for first in range(0, len(runs), most):
            part = runs[first : first + most]
            yield TaskArray([run.id for run in part], min(len(part), _packs(part, size_of)))


def worker_pack_size(run: Document, devices: Sequence[Device]) -> PackSize:
    """The function that gives the pack size of the workers of ``run`` and of its batch, from their settings.

    That is the option of the batch, if there is one. Otherwise it is the size that ``walking-noise plan`` takes, or
    that of a CPU if the batch requests no GPU.
    """
    slurm = run["slurm"]
    option = {**(run["seml"].get("env") or {}), **exported(slurm)}.get("WALKING_NOISE_PACK_SIZE", "")
    if option.isdecimal():
        return lambda config: max(int(option), 1)
    if any(name in options.get("sbatch_options", {}) for options in slurm for name in SLURM_GPU_OPTIONS):
        return together_on(devices[0] if devices else None)
    return lambda config: training_pack_size(config, torch.device("cpu"))


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
                known[key] = _Run(0, config, config.pack_key, pack_group(config), (config.network_key, 0))
            except ConfigError:
                known[key] = _Run(0)
        equal = known[key]
        yield _Run(document["_id"], equal.config, equal.pack, equal.group, (equal.network[0], seed), seed)


def _grouped(runs: Iterable[_Run]) -> list[_Run]:
    """The runs, sorted by their packs and networks, each in the order of its first run."""
    packs: dict[str, dict[tuple[str, int], list[_Run]]] = {}
    for run in runs:
        packs.setdefault(run.pack, {}).setdefault(run.network, []).append(run)
    return [run for networks in packs.values() for of_network in networks.values() for run in of_network]


def _packs(runs: Sequence[_Run], pack_size: PackSize) -> int:
    """Number of packs of the runs; a run with invalid settings, which its worker sets to FAILED, counts as a pack."""
    networks: dict[tuple[str, PackGroup | None], dict[int, set[str]]] = {}
    configs = {run.pack: run.config for run in runs}
    for run in runs:
        networks.setdefault((run.pack, run.group), {}).setdefault(run.seed, set()).add(run.network[0])
    packs = 0
    sizes = {pack: pack_size(config) for pack, config in configs.items() if config is not None}
    for (pack, _), by_seed in networks.items():
        if pack in sizes:
            packs += sum(1 for _ in split_into_packs([list(of_seed) for of_seed in by_seed.values()], sizes[pack]))
    return packs + sum(run.config is None for run in runs)
