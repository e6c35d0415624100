"""A pack, from its settings to the results of its runs."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence

import torch

from walking_noise import capacity, data
from walking_noise.config import RunConfig
from walking_noise.errors import Stopped, WalkingNoiseError
from walking_noise.evaluation import Evaluation, audit_failure, evaluate
from walking_noise.job import Job
from walking_noise.memory_limits import ran_out_of_memory
from walking_noise.networks import Networks
from walking_noise.noise.audit import mismatch
from walking_noise.pack import Pack, initialised
from walking_noise.packing import Training
from walking_noise.provenance import provenance
from walking_noise.results import Failure, Outcome, result_of
from walking_noise.training import Trained, train_pack


def failure_of(error: Exception) -> Failure:
    """An error in one line, with its traceback if its text is not meant for the user."""
    if isinstance(error, WalkingNoiseError):
        return Failure(str(error))
    first, *_ = str(error).splitlines() or [""]
    return Failure(f"{type(error).__name__}: {first}", traceback.format_exc())


class PackRun:
    """Trains the networks of one pack, or takes them from where they are kept, and evaluates all runs of them.

    Parameters
    ----------
    count
        Called with the number of epochs done, over all networks.
    check
        Called between batches; may raise :class:`Stopped`.
    """

    def __init__(
        self, job: Job, members: Sequence[Training], count: Callable[[int], None], check: Callable[[], None]
    ) -> None:
        self.configs, self.device, self.memory_limits, self.members = (
            job.configs,
            job.device,
            job.memory_limits,
            members,
        )
        self.count, self.check = count, check
        self.unsaved: dict[str, Failure] = {}
        self.data = data.load(**vars(members[0].config.data), root=job.data_root).to(job.device)
        self.networks = Networks(job.networks, job.device, self.data.checksum) if job.networks else None

    def outcomes(self) -> dict[int, Outcome]:
        """What every run of the pack ended with, by its index."""
        started = time.monotonic()
        trained = self._trained()
        passes = self._inference_only(trained)
        runs = [(member, index) for member, training in enumerate(self.members) for index in training.runs]
        share = (time.monotonic() - started) / len(runs)
        return {index: self._outcome(index, trained[member], passes.get(index), share) for member, index in runs}

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
        pack = Pack([initialised(self.members[0].config)] * len(trained)).to(self.device)
        pack.load_state_dict({name: torch.stack([one.state[name] for one in trained]) for name in trained[0].state})
        return self._passes(pack, runs)

    def _passes(self, pack: Pack, runs: Sequence[tuple[int, int]]) -> dict[int, Evaluation | Failure]:
        """Evaluate runs, given by member and index, at once; in halves if that fails, until the fault stands alone."""
        members, indices = zip(*runs, strict=True)
        try:
            return dict(zip(indices, self._evaluated(pack, members, indices), strict=True))
        except (Stopped, torch.AcceleratorError):  # after the latter the device is of no use to any run
            raise
        except Exception as error:
            failure = failure_of(error)
        if len(runs) == 1:
            return {indices[0]: failure}
        middle = len(runs) // 2
        return self._passes(pack, runs[:middle]) | self._passes(pack, runs[middle:])

    def _evaluated(self, pack: Pack, members: Sequence[int], indices: Sequence[int]) -> list[Evaluation]:
        """One pass of each run, with as many of them in the layers at once as fit in memory."""
        configs = [self.configs[index] for index in indices]
        what, epochs = ("runs evaluated", configs[0].pack_key), configs[0].training.epochs
        together = self.memory_limits.most(
            *what, min(len(configs), capacity.evaluated_together(configs[0], self.device))
        )
        try:
            return evaluate(
                pack, members, configs, self.data, epochs, audited=True, together=together, check=self.check
            )
        except Exception as error:
            if together == 1 or not ran_out_of_memory(error):
                raise
        self.memory_limits.halve(*what, together)
        return self._evaluated(pack, members, indices)

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
