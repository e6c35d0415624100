"""A call of train: what all its packs share, and how one of them comes from its settings to its results."""

from __future__ import annotations

import dataclasses
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from walking_noise import capacity, data
from walking_noise.config import RunConfig
from walking_noise.determinism import reproducibly
from walking_noise.errors import ConfigError, DataMissing, Stopped, WalkingNoiseError
from walking_noise.evaluation import Evaluation, audit_failure, evaluate
from walking_noise.networks import Networks
from walking_noise.noise.audit import mismatch
from walking_noise.pack import Pack, initialised
from walking_noise.packing import Training
from walking_noise.provenance import provenance
from walking_noise.results import Failure, Result, result_of
from walking_noise.training import Trained, train_pack

Outcome = Result | Failure


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
    """

    configs: Mapping[int, RunConfig]
    device: torch.device
    data_root: Path | str | None
    networks: Path | str | None

    def run(self, members: Sequence[Training], emit: Callable[[Event], None], check: Callable[[], None]) -> None:
        """Train a pack and emit the outcome of every run.

        A pack that fails is split until the fault stands alone; a network that fails alone is tried once more. Data
        that cannot be read, and settings they do not fit, fail the whole pack at once.
        ``check`` is called between batches and may raise :class:`Stopped`.
        """
        outcomes = self._attempt(members, emit, check)
        if isinstance(outcomes, Failure) and len(members) > 1:
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            middle = len(members) // 2
            self.run(members[:middle], emit, check)
            self.run(members[middle:], emit, check)
            return
        if isinstance(outcomes, Failure):
            outcomes = self._attempt(members, emit, check)
        if isinstance(outcomes, Failure):
            emit(EpochsDone(sum(training.config.training.epochs for training in members)))
            outcomes = _all_failed(members[0], outcomes)
        for event in outcomes:
            emit(event)

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
                return _PackRun(self, members, count, check).outcomes()
        except (Stopped, torch.AcceleratorError):  # after the latter the device is of no use to any run
            raise
        except (ConfigError, DataMissing) as refusal:  # of what all have in common: halves would fail alike
            count(sum(training.config.training.epochs for training in members) - epochs)
            return [RunEnded(index, _failure(refusal)) for training in members for index in training.runs]
        except Exception as error:
            if epochs:
                emit(EpochsDone(-epochs))
            return _failure(error)


def _all_failed(training: Training, failure: Failure) -> list[RunEnded]:
    """The failure of a network is that of all runs that share it; each says so."""
    if failure.trace and len(training.runs) > 1:
        shared = (
            f"the network that {len(training.runs)} runs share (training key {training.config.training_key}) failed"
        )
        failure = dataclasses.replace(failure, error=f"{shared}: {failure.error}")
    return [RunEnded(index, failure) for index in training.runs]


def _failure(error: Exception) -> Failure:
    """An error in one line, with its traceback if its text is not meant for the user."""
    if isinstance(error, WalkingNoiseError):
        return Failure(str(error))
    first, *_ = str(error).splitlines() or [""]
    return Failure(f"{type(error).__name__}: {first}", traceback.format_exc())


class _PackRun:
    """Trains the networks of one pack, or takes them from where they are kept, and evaluates all runs of them."""

    def __init__(
        self,
        job: Job,
        members: Sequence[Training],
        count: Callable[[int], None],
        check: Callable[[], None],
    ) -> None:
        self.configs, self.device, self.members = job.configs, job.device, members
        self.count, self.check = count, check
        self.unsaved: dict[str, Failure] = {}
        self.data = data.load(**vars(members[0].config.data), root=job.data_root).to(job.device)
        self.networks = Networks(job.networks, job.device, self.data.checksum) if job.networks else None

    def outcomes(self) -> list[RunEnded]:
        """Every run of the pack with its outcome."""
        started = time.monotonic()
        trained = self._trained()
        passes = self._inference_only(trained)
        runs = [(member, index) for member, training in enumerate(self.members) for index in training.runs]
        share = (time.monotonic() - started) / len(runs)
        return [
            RunEnded(index, self._outcome(index, trained[member], passes.get(index), share)) for member, index in runs
        ]

    def _trained(self) -> list[Trained]:
        kept: dict[int, Trained] = {}
        for member, training in enumerate(self.members):
            found = self._kept(training.config)
            if found is not None:
                kept[member] = found
                self.count(training.config.training.epochs)
        missing = [training.config for member, training in enumerate(self.members) if member not in kept]
        fresh = iter(self._train(missing))
        return [kept[member] if member in kept else next(fresh) for member in range(len(self.members))]

    def _kept(self, config: RunConfig) -> Trained | None:
        return None if self.networks is None else self.networks.load(config)

    def _train(self, configs: Sequence[RunConfig]) -> list[Trained]:
        if not configs:
            return []
        trained = train_pack(
            configs,
            self.data,
            self.device,
            after_batch=self.check,
            after_epoch=lambda: self.count(len(configs)),
        )
        for config, network in zip(configs, trained, strict=True):
            if self.networks is not None and (config.training.keep_network or not config.noisy):
                try:
                    self.networks.save(config, network)
                except OSError as error:  # fails the runs that asked for it; to the others it only cost time
                    fault = f"training.keep_network: the network could not be stored: {error}"
                    self.unsaved[config.network_key] = Failure(fault)
        return trained

    def _inference_only(self, trained: Sequence[Trained]) -> dict[int, Evaluation | Failure]:
        """One pass for each run with noise at inference only, by the run's index."""
        runs = [(member, index) for member, training in enumerate(self.members) for index in training.inference_only]
        if not runs:
            return {}
        pack = Pack([initialised(training.config) for training in self.members]).to(self.device)
        for member, network in enumerate(trained):
            pack.load_member(member, network.state)
        together = capacity.trained_together(self.members[0].config, self.device)
        passes: dict[int, Evaluation | Failure] = {}
        for start in range(0, len(runs), together):
            passes |= self._passes(pack, runs[start : start + together])
        return passes

    def _passes(self, pack: Pack, runs: Sequence[tuple[int, int]]) -> dict[int, Evaluation | Failure]:
        """Evaluate runs, given by member and index, at once; one by one if that fails, so that a fault stands alone."""
        self.check()
        members, indices = zip(*runs, strict=True)
        configs = [self.configs[index] for index in indices]
        try:
            scores = evaluate(pack, members, configs, self.data, configs[0].training.epochs, audited=True)
        except torch.AcceleratorError:
            raise
        except Exception as error:
            failure = _failure(error)
        else:
            return dict(zip(indices, scores, strict=True))
        if len(runs) == 1:
            return {indices[0]: failure}
        return {index: ending for run in runs for index, ending in self._passes(pack, [run]).items()}

    def _outcome(
        self, index: int, trained: Trained, inference_only: Evaluation | Failure | None, seconds: float
    ) -> Outcome:
        if isinstance(inference_only, Failure):
            return inference_only
        config = self.configs[index]
        keep = config.training.keep_network
        if keep and config.network_key in self.unsaved:
            return self.unsaved[config.network_key]
        fault = audit_failure(inference_only or trained.evaluations[-1], config)
        if fault is None and trained.training_audit is not None:
            fault = mismatch(trained.training_audit, config.levels, config.noise_kind.kurtosis)
        if fault is not None:
            return Failure(f"the noise injected is not the noise asked for: {fault}")
        return result_of(
            config,
            trained,
            inference_only,
            self.data,
            network=self.networks.name(config) if keep and self.networks else None,
            seconds=seconds,
            pack_size=len(self.members),
            device=self.device.type,
            provenance=provenance(self.data, self.device),
        )
