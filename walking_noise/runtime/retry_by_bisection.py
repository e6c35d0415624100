"""Retry by bisection: a pack that fails or runs out of memory is run again in halves, until the fault is isolated."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass

import torch

from walking_noise.errors import ConfigError, DataMissing, Stopped, ran_out_of_memory
from walking_noise.runtime.executor import PackExecutor
from walking_noise.runtime.planner import PlannedTraining, unfinished
from walking_noise.runtime.results import Failure, failure_of
from walking_noise.runtime.run_context import RunContext, RunEnded
from walking_noise.training.epoch_counts import Epochs, EpochsDone

OnEpochs = Callable[[EpochsDone], None]
AfterBatch = Callable[[], None]


def run_pack(
    context: RunContext, pack: Sequence[PlannedTraining], on_epochs: OnEpochs, after_batch: AfterBatch
) -> Iterator[RunEnded]:
    """Train a pack, and yield the outcome of every run once.

    A pack that fails is run again in halves, until the fault is isolated. A single network that fails is trained once
    more. If data cannot be read or settings do not fit them, the whole pack fails at once. After a pack has run out of
    memory, later packs of its kind are at most half as large.

    Parameters
    ----------
    on_epochs
        Called with the epoch counts when epochs are completed or saved.
    after_batch
        Called after each batch; may raise :class:`Stopped`.
    """
    if len(pack) > context.memory_limits.limit(*_kind(pack), len(pack)):
        yield from _run_halves(context, pack, on_epochs, after_batch)
        return
    fault = yield from _attempt(context, pack, on_epochs, after_batch)
    if fault and not fault.of_all and len(pack) > 1:
        yield from _run_halves(context, fault.unfinished, on_epochs, after_batch)
        return
    if fault and not fault.of_all:
        fault = yield from _attempt(context, fault.unfinished, on_epochs, after_batch)
    if fault:
        on_epochs(
            EpochsDone({one.config.network_key: Epochs(done=one.config.training.epochs) for one in fault.unfinished})
        )
        for training in fault.unfinished:
            yield from _all_failed(training, fault.failure)


def _run_halves(
    context: RunContext, pack: Sequence[PlannedTraining], on_epochs: OnEpochs, after_batch: AfterBatch
) -> Iterator[RunEnded]:
    middle = len(pack) // 2
    for half in (pack[:middle], pack[middle:]):
        if half:
            yield from run_pack(context, half, on_epochs, after_batch)


@dataclass(frozen=True)
class _Fault:
    """The failure of a pack, and its unfinished trainings. With ``of_all``, its halves would fail in the same way."""

    unfinished: list[PlannedTraining]
    failure: Failure
    of_all: bool


def _attempt(
    context: RunContext, pack: Sequence[PlannedTraining], on_epochs: OnEpochs, after_batch: AfterBatch
) -> Generator[RunEnded, None, _Fault | None]:
    """Run a pack once, and yield the outcomes of its runs. Return the fault if it fails."""
    ended: set[int] = set()
    try:
        for event in PackExecutor(context, pack, on_epochs, after_batch).run():
            ended.add(event.index)
            yield event
        return None
    except Stopped:
        raise
    except Exception as error:
        too_large = ran_out_of_memory(error)
        if isinstance(error, torch.AcceleratorError) and not too_large:
            raise  # the device is unusable
        failure, of_all = failure_of(error), isinstance(error, ConfigError | DataMissing)
    if too_large:
        context.memory_limits.halve(*_kind(pack), len(pack))
    return _Fault(unfinished(pack, ended), failure, of_all)


def _kind(pack: Sequence[PlannedTraining]) -> tuple[str, str]:
    """The kind of items in a pack, for :class:`MemoryLimits`."""
    return "networks trained", pack[0].config.pack_key


def _all_failed(training: PlannedTraining, failure: Failure) -> Iterator[RunEnded]:
    """Yield the failure of a network for every run that shares it."""
    if failure.trace and len(training.runs) > 1:
        shared = (
            f"the network that {len(training.runs)} runs share (training key {training.config.training_key}) failed"
        )
        failure = dataclasses.replace(failure, error=f"{shared}: {failure.error}")
    for index in training.runs:
        yield RunEnded(index, failure)
