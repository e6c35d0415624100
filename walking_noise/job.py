"""A call of train: what all its packs share, and what becomes of a pack that fails."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from walking_noise.config import RunConfig
from walking_noise.determinism import reproducibly
from walking_noise.errors import ConfigError, DataMissing, Stopped
from walking_noise.fitting import Fitting, ran_out_of_memory
from walking_noise.pack_run import Outcome, PackRun, failure_of
from walking_noise.packing import Training
from walking_noise.results import Failure


@dataclass(frozen=True)
class EpochsDone:
    """A number of epochs, counted over the networks of a pack, was done."""

    count: int


@dataclass(frozen=True)
class RunEnded:
    """The run of that index ended, with a result or a failure."""

    index: int
    outcome: Outcome


Event = EpochsDone | RunEnded


@dataclass(frozen=True)
class Job:
    """The runs of one call of :func:`walking_noise.train`, and what is needed to run any pack of them.

    Attributes
    ----------
    configs
        The runs, by their index.
    networks
        The folder of networks, if any: processes share those trained without noise, and runs may keep theirs in it.
    fitting
        What was found to fit in memory so far.
    """

    configs: Mapping[int, RunConfig]
    device: torch.device
    data_root: Path | str | None
    networks: Path | str | None
    fitting: Fitting = field(default_factory=Fitting, compare=False)

    def run(self, members: Sequence[Training], emit: Callable[[Event], None], check: Callable[[], None]) -> None:
        """Train a pack and emit the outcome of every run.

        A pack that fails is split until the fault stands alone; a network that fails alone is tried once more. Data
        that cannot be read, and settings they do not fit, fail the whole pack at once. After a pack that was too large
        for the memory, those of its kind are no larger than its half.
        ``check`` is called between batches and may raise :class:`Stopped`.
        """
        if len(members) > self.fitting.most(*_kind(members), len(members)):
            return self._run_halves(members, emit, check)
        outcomes = self._attempt(members, emit, check)
        if isinstance(outcomes, Failure) and len(members) > 1:
            return self._run_halves(members, emit, check)
        if isinstance(outcomes, Failure):
            outcomes = self._attempt(members, emit, check)
        if isinstance(outcomes, Failure):
            emit(EpochsDone(sum(training.config.training.epochs for training in members)))
            outcomes = _all_failed(members[0], outcomes)
        for event in outcomes:
            emit(event)

    def _run_halves(
        self, members: Sequence[Training], emit: Callable[[Event], None], check: Callable[[], None]
    ) -> None:
        middle = len(members) // 2
        self.run(members[:middle], emit, check)
        self.run(members[middle:], emit, check)

    def _attempt(
        self, members: Sequence[Training], emit: Callable[[Event], None], check: Callable[[], None]
    ) -> list[RunEnded] | Failure:
        """What came of the pack's runs, or why it failed; the epochs of a pack that failed are taken back."""
        epochs = 0

        def count(done: int) -> None:
            nonlocal epochs
            epochs += done
            emit(EpochsDone(done))

        try:
            with reproducibly():
                ended = PackRun(self, members, count, check).outcomes()
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
            self.fitting.halve(*_kind(members), len(members))
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
