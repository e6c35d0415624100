"""What becomes of a pack that fails: it is tried in halves, until the fault stands alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass

import torch

from walking_noise.errors import ConfigError, DataMissing, Stopped
from walking_noise.job import Epochs, EpochsDone, Job, RunEnded
from walking_noise.memory_limits import ran_out_of_memory
from walking_noise.pack_run import PackRun
from walking_noise.packing import Training, unfinished
from walking_noise.results import Failure, failure_of

Tell = Callable[[EpochsDone], None]
Check = Callable[[], None]


def run_pack(job: Job, members: Sequence[Training], tell: Tell, check: Check) -> Iterator[RunEnded]:
    """Train a pack and yield the outcome of every run, once.

    A pack that fails is split until the fault stands alone; a network that fails alone is tried once more. Data
    that cannot be read, and settings they do not fit, fail the whole pack at once. After a pack that was too large
    for the memory, those of its kind are no larger than its half.
    ``tell`` hears of epochs; ``check`` is called between batches and may raise :class:`Stopped`.
    """
    if len(members) > job.memory_limits.most(*_kind(members), len(members)):
        yield from _run_halves(job, members, tell, check)
        return
    fault = yield from _attempt(job, members, tell, check)
    if fault and not fault.of_all and len(members) > 1:
        yield from _run_halves(job, fault.left, tell, check)
        return
    if fault and not fault.of_all:
        fault = yield from _attempt(job, fault.left, tell, check)
    if fault:
        tell(EpochsDone({one.config.network_key: Epochs(done=one.config.training.epochs) for one in fault.left}))
        for training in fault.left:
            yield from _all_failed(training, fault.failure)


def _run_halves(job: Job, members: Sequence[Training], tell: Tell, check: Check) -> Iterator[RunEnded]:
    middle = len(members) // 2
    for half in (members[:middle], members[middle:]):
        if half:
            yield from run_pack(job, half, tell, check)


@dataclass(frozen=True)
class _Fault:
    """What is left of a pack that failed, and why; ``of_all``: halves of it would fail alike."""

    left: list[Training]
    failure: Failure
    of_all: bool


def _attempt(
    job: Job, members: Sequence[Training], tell: Tell, check: Check
) -> Generator[RunEnded, None, _Fault | None]:
    ended: set[int] = set()
    try:
        for event in PackRun(job, members, tell, check).ended():
            ended.add(event.index)
            yield event
        return None
    except Stopped:
        raise
    except Exception as error:
        too_large = ran_out_of_memory(error)
        if isinstance(error, torch.AcceleratorError) and not too_large:
            raise  # the device is of no use to any run
        failure, of_all = failure_of(error), isinstance(error, ConfigError | DataMissing)
    if too_large:
        job.memory_limits.halve(*_kind(members), len(members))
    return _Fault(unfinished(members, ended), failure, of_all)


def _kind(members: Sequence[Training]) -> tuple[str, str]:
    """What a pack is counted as, when it comes to memory."""
    return "networks trained", members[0].config.pack_key


def _all_failed(training: Training, failure: Failure) -> Iterator[RunEnded]:
    """The failure of a network is that of all runs that share it; each says so."""
    if failure.trace and len(training.runs) > 1:
        shared = (
            f"the network that {len(training.runs)} runs share (training key {training.config.training_key}) failed"
        )
        failure = dataclasses.replace(failure, error=f"{shared}: {failure.error}")
    for index in training.runs:
        yield RunEnded(index, failure)
