"""Retry by bisection: a pack that fails or runs out of memory is run again in halves, until the fault is isolated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch

from walking_noise.errors import ConfigError, DataMissing, Stopped, ran_out_of_memory
from walking_noise.runtime.executor import PackExecutor
from walking_noise.runtime.planner import PlannedTraining, unfinished
from walking_noise.runtime.results import Failure, failure_of
from walking_noise.runtime.run_context import RunContext, RunEnded
from walking_noise.runtime.sizing.memory_limits import TRAINED
from walking_noise.training.epoch_counts import Epochs, EpochsDone


def run_pack(
    context: RunContext,
    pack: Sequence[PlannedTraining],
    on_epochs: Callable[[EpochsDone], None],
    after_batch: Callable[[], None],
    *,
    retried: bool = False,
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
    retried
        Whether the pack is a network that has failed once.
    """
    kind, ended = (TRAINED, pack[0].config.pack_key), set[int]()
    if len(pack) <= context.memory_limits.limit(*kind, len(pack)):
        try:
            for event in PackExecutor(context, pack, on_epochs, after_batch).run():
                ended.add(event.index)
                yield event
            return
        except Stopped:
            raise
        except Exception as error:
            too_large = ran_out_of_memory(error)
            if isinstance(error, torch.AcceleratorError) and not too_large:
                raise  # the device is unusable
            failure, of_all = failure_of(error), isinstance(error, ConfigError | DataMissing)
        if too_large:
            context.memory_limits.halve(*kind, len(pack))
        if of_all or retried:
            yield from _all_failed(unfinished(pack, ended), failure, on_epochs)
            return
    remaining = unfinished(pack, ended)
    middle = len(remaining) // 2
    for half in filter(None, (remaining[:middle], remaining[middle:])):
        yield from run_pack(context, half, on_epochs, after_batch, retried=len(pack) == 1)


def _all_failed(
    trainings: Sequence[PlannedTraining], failure: Failure, on_epochs: Callable[[EpochsDone], None]
) -> Iterator[RunEnded]:
    """Yield the failure of some networks for every run that shares one of them. Their epochs count as done."""
    on_epochs(EpochsDone({one.config.network_key: Epochs(done=one.config.training.epochs) for one in trainings}))
    for training in trainings:
        error = failure.error
        if failure.trace and len(training.runs) > 1:
            shared = f"the network that {len(training.runs)} runs share (training key {training.config.training_key})"
            error = f"{shared} failed: {error}"
        for index in training.runs:
            yield RunEnded(index, Failure(error, failure.trace))
