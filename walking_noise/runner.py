"""Running packs: on which device, how many side by side, and what happens when one fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from walking_noise import capacity
from walking_noise.config import RunConfig
from walking_noise.errors import RunsFailed, Stopped
from walking_noise.lanes import run_in_lanes
from walking_noise.pack_task import Event, Outcome, PackTask
from walking_noise.packing import Training, packs
from walking_noise.results import Failure, Result


@dataclass(frozen=True)
class Progress:
    """How far a call of :func:`train` is. Epochs are counted over all trainings."""

    runs_done: int
    runs_total: int
    epochs_done: int
    epochs_total: int
    seconds: float


def train(
    configs: Sequence[RunConfig],
    *,
    device: torch.device | str | None = None,
    data_root: Path | str | None = None,
    pack_size: int | None = None,
    lanes: int | None = None,
    networks: Path | str | None = None,
    progress: Callable[[Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> list[Result]:
    """Train runs, packed where their pack keys agree, and return their results in the order of ``configs``.

    Parameters
    ----------
    device
        Default: a GPU if there is one, else the CPU.
    data_root
        The folder of the data sets; default: see :func:`walking_noise.data.data_root`.
    pack_size
        The most networks that train as one; default: chosen for the device and the model.
    lanes
        Processes side by side, each with packs of its own; default: one per core on a CPU, one on a GPU.
    networks
        A folder through which processes share networks trained without noise.
    progress
        Called, in this thread, whenever an epoch or a run is done.
    stop
        Polled while training; once it answers True, :class:`Stopped` is raised.

    Raises
    ------
    RunsFailed
        Some runs failed. The others are finished first; all are in the error's ``outcomes``.
    """
    outcomes: list[Outcome | None] = [None] * len(configs)
    for index, outcome in train_each(
        configs,
        device=device,
        data_root=data_root,
        pack_size=pack_size,
        lanes=lanes,
        networks=networks,
        progress=progress,
        stop=stop,
    ):
        outcomes[index] = outcome
    failures = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    if failures:
        raise RunsFailed(
            f"{len(failures)} of {len(configs)} runs failed; the first: {failures[0].error}", list(outcomes)
        )
    return [outcome for outcome in outcomes if isinstance(outcome, Result)]


def train_each(
    configs: Sequence[RunConfig],
    *,
    device: torch.device | str | None = None,
    data_root: Path | str | None = None,
    pack_size: int | None = None,
    lanes: int | None = None,
    networks: Path | str | None = None,
    progress: Callable[[Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Iterator[tuple[int, Outcome]]:
    """As :func:`train`, but yield ``(index into configs, outcome)`` as runs finish; a failed run is a Failure."""
    device = torch.device(device) if device else capacity.default_device()
    lanes = lanes or capacity.lanes(device)
    kinds = {config.pack_key: config for config in configs}
    together = {key: pack_size or capacity.trained_together(config, device) for key, config in kinds.items()}
    planned = list(packs(configs, together, lanes))
    task = PackTask(configs, device, data_root, networks)
    total = sum(training.config.training.epochs for members in planned for training in members)
    tally = _Tally(len(configs), total, progress)

    def check() -> None:
        if stop is not None and stop():
            raise Stopped("training was asked to stop")

    if lanes == 1 or len(planned) == 1:
        events = _one_after_the_other(task, planned, tally, check)
    else:
        events = run_in_lanes(task, planned, lanes, check)
    for event in events:
        tally.count(event)
        if isinstance(event, tuple):
            yield event


def _one_after_the_other(
    task: PackTask, planned: Sequence[list[Training]], tally: _Tally, check: Callable[[], None]
) -> Iterator[Event]:
    for members in planned:
        finished: list[Event] = []

        def emit(event: Event, finished: list[Event] = finished) -> None:
            if isinstance(event, tuple):
                finished.append(event)
            else:
                tally.count(event)

        task.run(members, emit, check)
        yield from finished


class _Tally:
    def __init__(self, runs: int, epochs: int, progress: Callable[[Progress], None] | None) -> None:
        self.runs, self.epochs, self.progress = runs, epochs, progress
        self.runs_done, self.epochs_done = 0, 0
        self.started = time.monotonic()

    def count(self, event: Event) -> None:
        if isinstance(event, tuple):
            self.runs_done += 1
        else:
            self.epochs_done += event
        if self.progress is not None:
            seconds = time.monotonic() - self.started
            self.progress(Progress(self.runs_done, self.runs, self.epochs_done, self.epochs, seconds))
