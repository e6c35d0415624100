"""What becomes of a pack that fails: it is tried in halves, until the fault stands alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import torch

from walking_noise.determinism import reproducibly
from walking_noise.errors import ConfigError, DataMissing, Stopped
from walking_noise.job import EpochsDone, Event, Job, RunEnded
from walking_noise.memory_limits import ran_out_of_memory
from walking_noise.pack_run import PackRun, failure_of
from walking_noise.packing import Training
from walking_noise.results import Failure

Emit = Callable[[Event], None]
Check = Callable[[], None]


def run_pack(job: Job, members: Sequence[Training], emit: Emit, check: Check) -> None:
    """Train a pack and emit the outcome of every run.

    A pack that fails is split until the fault stands alone; a network that fails alone is tried once more. Data
    that cannot be read, and settings they do not fit, fail the whole pack at once. After a pack that was too large
    for the memory, those of its kind are no larger than its half.
    ``check`` is called between batches and may raise :class:`Stopped`.
    """
    if len(members) > job.memory_limits.most(*_kind(members), len(members)):
        return _run_halves(job, members, emit, check)
    outcomes = _attempt(job, members, emit, check)
    if isinstance(outcomes, Failure) and len(members) > 1:
        return _run_halves(job, members, emit, check)
    if isinstance(outcomes, Failure):
        outcomes = _attempt(job, members, emit, check)
    if isinstance(outcomes, Failure):
        emit(EpochsDone(sum(training.config.training.epochs for training in members)))
        outcomes = _all_failed(members[0], outcomes)
    for event in outcomes:
        emit(event)


def _run_halves(job: Job, members: Sequence[Training], emit: Emit, check: Check) -> None:
    middle = len(members) // 2
    run_pack(job, members[:middle], emit, check)
    run_pack(job, members[middle:], emit, check)


def _attempt(job: Job, members: Sequence[Training], emit: Emit, check: Check) -> list[RunEnded] | Failure:
    """What came of the pack's runs, or why it failed; the epochs of a pack that failed are taken back."""
    epochs = 0

    def count(done: int) -> None:
        nonlocal epochs
        epochs += done
        emit(EpochsDone(done))

    try:
        with reproducibly():
            ended = PackRun(job, members, count, check).outcomes()
            return [RunEnded(index, outcome) for index, outcome in ended.items()]
    except Stopped:
        raise
    except (ConfigError, DataMissing) as refusal:  # of what all have in common: halves would fail alike
        count(sum(training.config.training.epochs for training in members) - epochs)
        return [RunEnded(index, failure_of(refusal)) for training in members for index in training.runs]
    except Exception as error:
        too_large = ran_out_of_memory(error)
        if isinstance(error, torch.AcceleratorError) and not too_large:
            raise  # the device is of no use to any run
        if epochs:
            emit(EpochsDone(-epochs))
        failure = failure_of(error)
    if too_large:
        job.memory_limits.halve(*_kind(members), len(members))
    return failure


def _kind(members: Sequence[Training]) -> tuple[str, str]:
    """What a pack is counted as, when it comes to memory."""
    return "networks trained", members[0].config.pack_key


def _all_failed(training: Training, failure: Failure) -> list[RunEnded]:
    """The failure of a network is that of all runs that share it; each says so."""
    if failure.trace and len(training.runs) > 1:
        shared = (
            f"the network that {len(training.runs)} runs share (training key {training.config.training_key}) failed"
        )
        failure = dataclasses.replace(failure, error=f"{shared}: {failure.error}")
    return [RunEnded(index, failure) for index in training.runs]
