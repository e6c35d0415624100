"""Plan of grid files: a row for each file, and one for all files together."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from experiments.plan.demand import Demand, demands
from experiments.plan.grid_files import GridError, Settings
from experiments.plan.run_counts import PlannedRun, RunCounts, count_runs
from experiments.plan.throughput import Device, Kind
from experiments.terminal.progress_line import ProgressLine
from experiments.terminal.text_table import in_words
from experiments.worker.records.run_document import COMPACT_ABOVE_EPOCHS
from walking_noise import RunConfig
from walking_noise.runtime.sizing import capacity

DOCUMENT_BYTES = 12_000
"""Size of a run's document as BSON, without the parts that grow with the epochs; 8.6 kB of it are SEML's list of source
files. Measured on documents that workers wrote."""
LOSS_BYTES, PACKED_BYTES = 12.7, 5.5
"""Bytes of an epoch's training loss in the document: as an item of a list, and in the compact form that trainings of
more than ``COMPACT_ABOVE_EPOCHS`` epochs use."""
CURVE_BYTES = 12.7
"""Bytes of an epoch's value of the validation curve."""


@dataclass(frozen=True)
class Row:
    """Numbers of one file, or of all files together."""

    counts: RunCounts
    present: int | None  # number of its documents that the collection already has; None if no collection was read

    @property
    def documents(self) -> int:
        """Number of runs with different settings: ``seml add`` adds one document for each."""
        return len(self.counts.documents)

    @property
    def distinct(self) -> int:
        """Number of runs that do different things: runs with equal run keys count once."""
        return len({planned.run for planned in self.counts.documents.values()})

    @cached_property
    def demands(self) -> list[Demand]:
        """Demand of the distinct runs, by pack key."""
        return demands(self.counts.documents.values(), self.counts.configs)

    @property
    def bytes(self) -> float:
        """Size of the documents after all runs have ended."""
        return sum(map(self._document_bytes, self.counts.documents.values()))

    def _document_bytes(self, run: PlannedRun) -> float:
        epochs = self.counts.configs[run.pack].training.epochs
        loss = LOSS_BYTES if epochs <= COMPACT_ABOVE_EPOCHS else PACKED_BYTES
        return DOCUMENT_BYTES + epochs * (loss + CURVE_BYTES * run.curve)

    @property
    def trainings(self) -> int:
        """Number of networks to train; a network that runs share counts once."""
        return sum(demand.trainings for demand in self.demands)

    @property
    def tasks(self) -> int:
        """Number of Slurm array tasks that ``seml start`` submits: one for each document that is not present.

        ``walking-noise start`` submits at most one for each pack.
        """
        return self.documents - (self.present or 0)

    def packs(self, pack_size: Callable[[RunConfig], int]) -> int:
        """Number of packs; ``pack_size`` gives the number of networks of a full pack with these settings."""
        return sum(demand.packs(pack_size(demand.config)) for demand in self.demands)

    def hours(self, device: Device) -> float | None:
        """Hours that a device needs for all of it; None if a part was not measured."""
        seconds = [demand.seconds(device) for demand in self.demands]
        return None if None in seconds else sum(one for one in seconds if one is not None) / 3600


def numbers(
    rows: Sequence[Row], devices: Sequence[Device], pack_size: Callable[[RunConfig], int]
) -> list[dict[str, Any]]:
    """The rows as dictionaries of plain values, for JSON."""
    counted = ("name", "runs", "noisy", "kept")
    derived = ("documents", "distinct", "present", "trainings", "tasks", "bytes")
    return [
        {name: getattr(row.counts, name) for name in counted}
        | {name: getattr(row, name) for name in derived}
        | {"packs": row.packs(pack_size), "hours": {device.name: row.hours(device) for device in devices}}
        for row in rows
    ]


def plan(counts: Sequence[RunCounts], present: set[str] | None) -> list[Row]:
    """A row for each file and, if there are several, one for all of them together.

    ``present``: settings keys of the runs that the collection already has; None if no collection was read.
    """
    total = RunCounts(f"all {len(counts)} files")
    for one in counts:
        total.add(one)
    listed = counts if len(counts) == 1 else [*counts, total]
    return [Row(one, None if present is None else len(one.documents.keys() & present)) for one in listed]


def count(paths: Sequence[Path], overwrite: Settings | None = None) -> tuple[list[RunCounts], list[GridError]]:
    """Count the runs of files on all cores, and show the progress.

    Return the counts of the valid files and the errors of the others, in the order of the files. ``overwrite`` has
    settings that replace those of all runs.
    """
    line = ProgressLine()
    outcomes = list(_counts_or_errors(paths, line.show, overwrite))
    line.end()
    counts = [outcome for outcome in outcomes if isinstance(outcome, RunCounts)]
    return counts, [outcome for outcome in outcomes if isinstance(outcome, GridError)]


def _counts_or_errors(
    paths: Sequence[Path], show: Callable[[str], None], overwrite: Settings | None
) -> Iterator[RunCounts | GridError]:
    cores = min(len(os.sched_getaffinity(0)), len(paths))
    if cores == 1:
        for number, path in enumerate(paths, start=1):
            show(f"{number} of {in_words(len(paths), 'file')}: {path}")
            yield _counts_or_error(path, overwrite)
        return
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["experiments.plan.run_counts"])
    executor = ProcessPoolExecutor(cores, context, initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_IGN))
    try:
        futures = [executor.submit(_counts_or_error, path, overwrite) for path in paths]
        for done, _ in enumerate(as_completed(futures), start=1):
            show(f"{done} of {in_words(len(paths), 'file')}")
        yield from (future.result() for future in futures)
    finally:
        executor.shutdown(cancel_futures=True)


def together_on(device: Device | None) -> Callable[[RunConfig], int]:
    """A function that returns the pack size for the settings of a run.

    It is the size that was measured on ``device``. Without a measurement it is the default on this machine's device.
    """
    local = torch.device(capacity.default_device())

    def size(config: RunConfig) -> int:
        rate = device.rate(Kind.of(config)) if device is not None else None
        return rate.pack_size if rate is not None else capacity.training_pack_size(config, local)

    return size


def _counts_or_error(path: Path, overwrite: Settings | None) -> RunCounts | GridError:
    try:
        return count_runs(path, overwrite)
    except GridError as error:
        return error
