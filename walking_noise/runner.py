"""Running packs: on which device, how many side by side, and what happens when one fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypedDict, Unpack

import torch

from walking_noise import capacity
from walking_noise.attempts import run_pack
from walking_noise.checkpoints import SECONDS, Checkpoints
from walking_noise.config import RunConfig
from walking_noise.errors import RunsFailed, Stopped, refused
from walking_noise.job import Epochs, Event, Job, RunEnded
from walking_noise.lanes import run_in_lanes
from walking_noise.networks import why_unusable
from walking_noise.packing import Training, packs
from walking_noise.results import Failure, Outcome, Result

P = ParamSpec("P")


@dataclass(frozen=True)
class Progress:
    """How far a call of :func:`train` is. Epochs are counted over all trainings.

    Attributes
    ----------
    epochs_resumed
        Of those done, the ones taken up from checkpoints or from a folder of networks.
    epochs_kept
        Of those done, the ones that stand in checkpoints, in a folder of networks, or in results.
    """

    runs_done: int
    runs_total: int
    epochs_done: int
    epochs_total: int
    seconds: float
    epochs_resumed: int = 0
    epochs_kept: int = 0


class Options(TypedDict, total=False):
    """How runs are trained; none of it changes their numbers on a device.

    Attributes
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
        A folder through which processes share networks trained without noise, and in which runs with
        ``training.keep_network`` keep theirs; without it these fail before any training.
    checkpoints
        A folder in which trainings are kept while they last, to be taken up by whoever trains the same network next on
        the same type of device, with the same code and data; default: they are not kept.
    checkpoint_seconds
        The most time of work that is lost when a process is killed, 600 by default, or an epoch where that is longer.
    checkpoint_quota
        Bytes in the folder of checkpoints beyond which nothing more is written to it; default: no limit.
    progress
        Called, in this thread, whenever an epoch or a run is done.
    stop
        Polled while training; once it answers True, checkpoints are written and :class:`Stopped` is raised.
    """

    device: torch.device | str | None
    data_root: Path | str | None
    pack_size: int | None
    lanes: int | None
    networks: Path | str | None
    checkpoints: Path | str | None
    checkpoint_seconds: float
    checkpoint_quota: int | None
    progress: Callable[[Progress], None] | None
    stop: Callable[[], bool] | None


def train(configs: Sequence[RunConfig], **options: Unpack[Options]) -> list[Result]:
    """Train runs, packed where their pack keys agree, and return their results in the order of ``configs``.

    Their checkpoints, which nothing needs once they are returned, are removed.

    Raises
    ------
    RunsFailed
        Some runs failed. The others are finished first; all are in the error's ``outcomes``.
    """
    ended = dict(train_each(configs, **options))
    outcomes = [ended[index] for index in range(len(configs))]
    failures = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    if failures:
        message = f"{len(failures)} of {len(configs)} runs failed; the first: {failures[0].error}"
        raise RunsFailed(message, list(outcomes))
    if checkpoints := _checkpoints(options):
        checkpoints.discard(configs)
    return [outcome for outcome in outcomes if isinstance(outcome, Result)]


def train_each(configs: Sequence[RunConfig], **options: Unpack[Options]) -> Iterator[tuple[int, Outcome]]:
    """As :func:`train`, but yield ``(index into configs, outcome)`` as runs end; a failed run is a Failure."""
    if unknown := options.keys() - Options.__annotations__:
        raise TypeError(f"unknown option {min(unknown)!r}; options are {', '.join(Options.__annotations__)}")
    keeping = {index for index, config in enumerate(configs) if config.training.keep_network}
    fault = why_unusable(options.get("networks")) if keeping else None
    if fault is not None:
        yield from ((index, Failure(f"training.keep_network: {fault}")) for index in sorted(keeping))
    trained = [index for index in range(len(configs)) if fault is None or index not in keeping]
    for place, outcome in _train_each([configs[index] for index in trained], options):
        yield trained[place], outcome


def _train_each(configs: Sequence[RunConfig], options: Options) -> Iterator[tuple[int, Outcome]]:
    device = capacity.device_called(options.get("device") or capacity.default_device())
    lanes = _at_least_one("lanes", options.get("lanes")) or capacity.lanes(device)
    pack_size, stop = _at_least_one("pack_size", options.get("pack_size")), options.get("stop")
    kinds = {config.pack_key: config for config in configs}
    together = {key: pack_size or capacity.trained_together(config, device) for key, config in kinds.items()}
    planned = list(packs(configs, together, lanes))
    job = Job(
        dict(enumerate(configs)), device, options.get("data_root"), options.get("networks"), _checkpoints(options)
    )
    tally = _Tally(len(configs), planned, options.get("progress"))

    def check() -> None:
        if stop is not None and stop():
            raise Stopped("training was asked to stop")

    if lanes == 1 or len(planned) == 1:
        events = _one_after_the_other(job, planned, tally, check)
    else:
        events = run_in_lanes(job, planned, lanes, check)
    for event in events:
        tally.count(event)
        if isinstance(event, RunEnded):
            yield event.index, event.outcome


def _checkpoints(options: Options) -> Checkpoints | None:
    folder, seconds = options.get("checkpoints"), options.get("checkpoint_seconds", SECONDS)
    return Checkpoints(folder, seconds=seconds, quota=options.get("checkpoint_quota")) if folder else None


def _at_least_one(name: str, value: int | None) -> int | None:
    if value is not None and value < 1:
        raise refused(name, value, "allowed is a whole number >= 1")
    return value


def _one_after_the_other(
    job: Job, planned: Sequence[list[Training]], tally: _Tally, check: Callable[[], None]
) -> Iterator[Event]:
    """Run packs in this process. Epochs are counted at once, as nothing can be yielded while a pack trains."""
    for members in planned:
        caller = _Caller()
        try:
            yield from run_pack(job, members, caller.guarding(tally.count), caller.guarding(check))
        except Stopped:
            raise caller.error or Stopped("training was asked to stop") from None


class _Caller:
    """Calls the caller's functions while a pack trains; an error of theirs stops the pack and is not the pack's."""

    error: Exception | None = None

    def guarding(self, function: Callable[P, None]) -> Callable[P, None]:
        """The same function, whose errors stop the pack."""

        def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
            try:
                function(*args, **kwargs)
            except Exception as error:
                self.error = self.error or error
                raise Stopped("the caller's own function failed") from error

        return guarded


class _Tally:
    """Counts what happens, and tells the caller."""

    def __init__(
        self, runs: int, planned: Sequence[list[Training]], progress: Callable[[Progress], None] | None
    ) -> None:
        self.runs, self.progress = runs, progress
        self.runs_done, self.started = 0, time.monotonic()
        self.total = sum(training.config.training.epochs for members in planned for training in members)
        self._each: dict[str, Epochs] = {}
        self._epochs = Epochs()

    def count(self, event: Event) -> None:
        if isinstance(event, RunEnded):
            self.runs_done += 1
        else:
            for key, now in event.of.items():
                before = self._each.get(key, Epochs())
                self._epochs = Epochs(*(a + b - c for a, b, c in zip(self._epochs, now, before, strict=True)))
                self._each[key] = now
        if self.progress is not None:
            seconds = time.monotonic() - self.started
            done, resumed, kept = self._epochs
            self.progress(Progress(self.runs_done, self.runs, done, self.total, seconds, resumed, kept))
