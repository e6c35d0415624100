"""One pack from its settings to its results."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from walking_noise import capacity, data
from walking_noise.config import RunConfig
from walking_noise.errors import Stopped, WalkingNoiseError
from walking_noise.evaluation import Evaluation, audit_failure, evaluate
from walking_noise.networks import Networks
from walking_noise.noise.audit import mismatch
from walking_noise.pack import Pack, initialised
from walking_noise.packing import Training
from walking_noise.provenance import provenance
from walking_noise.results import Failure, Result, result_of
from walking_noise.training import Trained, train_pack

Outcome = Result | Failure
Event = int | tuple[int, Outcome]
"""Epochs done, or the index of a finished run and how it ended."""


@dataclass(frozen=True)
class PackTask:
    """What is needed to run any pack of a list of runs.

    Attributes
    ----------
    networks
        The folder through which processes share networks trained without noise, if any.
    """

    configs: Sequence[RunConfig]
    device: torch.device
    data_root: Path | str | None
    networks: Path | str | None

    def run(self, members: Sequence[Training], emit: Callable[[Event], None], check: Callable[[], None]) -> None:
        """Train a pack and emit the outcome of every run; a pack that fails is split until the fault stands alone.

        ``check`` is called between batches and may raise :class:`Stopped`.
        """
        try:
            with _one_thread():
                finished = _PackRun(self, members, emit, check).outcomes()
        except Stopped:
            raise
        except WalkingNoiseError as error:
            finished = _all(members, Failure(str(error)))
        except Exception as error:
            if len(members) > 1:
                return self._halves(members, emit, check)
            finished = _all(members, Failure(f"{type(error).__name__}: {error}", traceback.format_exc()))
        for event in finished:
            emit(event)

    def _halves(self, members: Sequence[Training], emit: Callable[[Event], None], check: Callable[[], None]) -> None:
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        middle = len(members) // 2
        self.run(members[:middle], emit, check)
        self.run(members[middle:], emit, check)


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread for torch on the CPU: the order of its sums, and so a result's last bit, depends on their number."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _all(members: Sequence[Training], failure: Failure) -> list[tuple[int, Outcome]]:
    return [(index, failure) for training in members for index in training.runs]


class _PackRun:
    """Trains the networks of one pack, or takes them from where they are kept, and evaluates all runs of them."""

    def __init__(
        self,
        task: PackTask,
        members: Sequence[Training],
        emit: Callable[[Event], None],
        check: Callable[[], None],
    ) -> None:
        self.configs, self.device, self.members = task.configs, task.device, members
        self.emit, self.check = emit, check
        self.networks = Networks(task.networks, task.device) if task.networks else None
        settings = members[0].config.data
        self.data = data.load(settings.name, settings.transform, task.data_root).to(task.device)

    def outcomes(self) -> list[tuple[int, Outcome]]:
        """Every run of the pack with its outcome."""
        started = time.monotonic()
        trained = self._trained()
        passes = self._inference_only(trained)
        runs = [(member, index) for member, training in enumerate(self.members) for index in training.runs]
        share = (time.monotonic() - started) / len(runs)
        return [(index, self._outcome(index, trained[member], passes.get(index), share)) for member, index in runs]

    def _trained(self) -> list[Trained]:
        kept: dict[int, Trained] = {}
        for member, training in enumerate(self.members):
            found = self._kept(training.config)
            if found is not None:
                kept[member] = found
                self.emit(training.config.training.epochs)
        missing = [training.config for member, training in enumerate(self.members) if member not in kept]
        fresh = iter(self._train(missing))
        return [kept[member] if member in kept else next(fresh) for member in range(len(self.members))]

    def _kept(self, config: RunConfig) -> Trained | None:
        return None if self.networks is None or config.noisy else self.networks.load(config)

    def _train(self, configs: Sequence[RunConfig]) -> list[Trained]:
        if not configs:
            return []
        trained = train_pack(
            configs,
            self.data,
            self.device,
            after_batch=self.check,
            after_epoch=lambda: self.emit(len(configs)),
        )
        for config, network in zip(configs, trained, strict=True):
            if self.networks is not None and not config.noisy:
                self.networks.save(config, network)
        return trained

    def _inference_only(self, trained: Sequence[Trained]) -> dict[int, Evaluation]:
        """One pass for each run with noise at inference only, by the run's index."""
        runs = [(member, index) for member, training in enumerate(self.members) for index in training.inference_only]
        if not runs:
            return {}
        pack = Pack([initialised(training.config) for training in self.members]).to(self.device)
        for member, network in enumerate(trained):
            pack.load_member(member, network.state)
        epochs = self.members[0].config.training.epochs
        together = capacity.trained_together(self.members[0].config, self.device)
        passes: dict[int, Evaluation] = {}
        for start in range(0, len(runs), together):
            self.check()
            members, indices = zip(*runs[start : start + together], strict=True)
            configs = [self.configs[index] for index in indices]
            scores = evaluate(pack, members, configs, self.data, epochs, audited=True)
            passes.update(zip(indices, scores, strict=True))
        return passes

    def _outcome(self, index: int, trained: Trained, inference_only: Evaluation | None, seconds: float) -> Outcome:
        config = self.configs[index]
        fault = audit_failure(inference_only or trained.evaluations[-1], config)
        if fault is None and trained.training_audit is not None:
            fault = mismatch(trained.training_audit, config.levels)
        if fault is not None:
            return Failure(f"the noise injected is not the noise asked for: {fault}")
        return result_of(
            config,
            trained,
            inference_only,
            self.data,
            seconds=seconds,
            pack_size=len(self.members),
            device=self.device.type,
            provenance=provenance(self.data, self.device),
        )
