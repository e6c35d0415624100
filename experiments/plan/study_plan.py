"""The plan: every file by itself, and all of them together."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from experiments.plan.demand import Demand, demands
from experiments.plan.grid_files import GridError, Settings
from experiments.plan.run_counts import PlannedRun, RunCounts, count_runs
from experiments.plan.throughput import Device, Kind
from experiments.worker.records.compact_result import COMPACT_ABOVE_EPOCHS
from walking_noise import RunConfig
from walking_noise.runtime.sizing import capacity

DOCUMENT_BYTES = 12_000
"""Of a run's document without what grows with the epochs, as BSON; 8.6 kB of it are SEML's list of the sources.
Measured on documents of workers."""
LOSS_BYTES, PACKED_BYTES = 12.7, 5.5
"""By which an epoch's training loss makes it larger; the latter in a training of more than
``COMPACT_ABOVE_EPOCHS`` epochs."""
CURVE_BYTES = 12.7
"""Likewise for an epoch of the validation curve."""


@dataclass(frozen=True)
class Row:
    """What a file asks for, or all files together.

    Attributes
    ----------
    runs
        As many as the grids give.
    documents
        Runs that differ in their settings: what ``seml add`` makes of them.
    distinct
        Runs that differ in what they do: equal run keys count once.
    present
        Documents that are in the collection already; None if it was not looked at.
    noisy
        Runs trained with noise.
    kept
        Runs that keep their network.
    demands
        What the distinct runs take, by pack key.
    bytes
        Of the documents when all runs have ended.
    """

    name: str
    runs: int
    documents: int
    distinct: int
    present: int | None
    noisy: int
    kept: int
    demands: tuple[Demand, ...]
    bytes: float

    @property
    def trainings(self) -> int:
        """Different networks to train, shared ones once."""
        return sum(demand.trainings for demand in self.demands)

    @property
    def tasks(self) -> int:
        """Slurm array tasks of ``seml start``: one for each document that is not there."""
        return self.documents - (self.present or 0)

    def packs(self, pack_size: Callable[[RunConfig], int]) -> int:
        """Packs of the default size."""
        return sum(demand.packs(pack_size(demand.config)) for demand in self.demands)

    def hours(self, device: Device) -> float | None:
        """What a device needs for all of it; None if a part was not measured."""
        seconds = [demand.seconds(device) for demand in self.demands]
        return None if None in seconds else sum(one for one in seconds if one is not None) / 3600


def numbers(
    rows: Sequence[Row], devices: Sequence[Device], pack_size: Callable[[RunConfig], int]
) -> list[dict[str, Any]]:
    """The rows as plain values."""
    names = ("name", "runs", "documents", "distinct", "present", "noisy", "kept", "trainings", "tasks", "bytes")
    return [
        {name: getattr(row, name) for name in names}
        | {"packs": row.packs(pack_size), "hours": {device.name: row.hours(device) for device in devices}}
        for row in rows
    ]


def plan(tallies: Sequence[RunCounts], present: set[str] | None) -> list[Row]:
    """A row for each file and, if there are several, one for all of them together."""
    rows = [_row(str(one.path), [one], present) for one in tallies]
    return rows if len(rows) == 1 else [*rows, _row(f"all {len(rows)} files", tallies, present)]


def count(
    paths: Sequence[Path], show: Callable[[str], None], overwrite: Settings | None = None
) -> Iterator[RunCounts | GridError]:
    """Count the runs of files, in their order, on all cores; a file that is refused gives the reason.

    ``overwrite``: settings that all runs are given.
    """
    cores = min(len(os.sched_getaffinity(0)), len(paths))
    if cores == 1:
        for number, path in enumerate(paths, start=1):
            show(f"{number} of {len(paths)} files: {path}")
            yield _tally(path, overwrite)
        return
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["experiments.plan.run_counts"])
    executor = ProcessPoolExecutor(cores, context, initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_IGN))
    try:
        futures = [executor.submit(_tally, path, overwrite) for path in paths]
        for done, _ in enumerate(as_completed(futures), start=1):
            show(f"{done} of {len(paths)} files")
        yield from (future.result() for future in futures)
    finally:
        executor.shutdown(cancel_futures=True)


def together_on(device: Device | None) -> Callable[[RunConfig], int]:
    """The networks that train as one: on a measured device, or else on the one that is here."""
    here = torch.device(capacity.default_device())

    def size(config: RunConfig) -> int:
        rate = device.rate(Kind.of(config)) if device is not None else None
        return rate.pack_size if rate is not None else capacity.training_pack_size(config, here)

    return size


def _tally(path: Path, overwrite: Settings | None) -> RunCounts | GridError:
    try:
        return count_runs(path, overwrite)
    except GridError as refusal:
        return refusal


def _row(name: str, tallies: Iterable[RunCounts], present: set[str] | None) -> Row:
    documents: dict[str, PlannedRun] = {}
    kinds: dict[str, RunConfig] = {}
    runs = noisy = kept = 0
    for one in tallies:
        documents |= one.documents
        kinds |= one.kinds
        runs, noisy, kept = runs + one.runs, noisy + one.noisy, kept + one.kept
    return Row(
        name=name,
        runs=runs,
        documents=len(documents),
        distinct=len({planned.run for planned in documents.values()}),
        present=None if present is None else len(documents.keys() & present),
        noisy=noisy,
        kept=kept,
        demands=tuple(demands(documents.values(), kinds)),
        bytes=_bytes(documents.values(), kinds),
    )


def _bytes(documents: Iterable[PlannedRun], kinds: Mapping[str, RunConfig]) -> float:
    def of(one: PlannedRun) -> float:
        epochs = kinds[one.pack].training.epochs
        loss = LOSS_BYTES if epochs <= COMPACT_ABOVE_EPOCHS else PACKED_BYTES
        return DOCUMENT_BYTES + epochs * (loss + CURVE_BYTES * one.curve)

    return sum(map(of, documents))
