"""A pack, from its settings to the results of its runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from walking_noise import capacity, data
from walking_noise.account import Account
from walking_noise.config import RunConfig
from walking_noise.determinism import reproducibly
from walking_noise.errors import Stopped
from walking_noise.evaluation import Evaluation, audit_failure
from walking_noise.job import EpochsDone, Job, RunEnded
from walking_noise.keeping import Keeping, KeepingCheckpoints
from walking_noise.networks import Networks
from walking_noise.noise.audit import mismatch
from walking_noise.packing import Training, evenly
from walking_noise.passes import Passes
from walking_noise.provenance import provenance
from walking_noise.results import Failure, Outcome, result_of
from walking_noise.training import Trained, train_pack

ROUNDS = 16
"""Runs evaluated between one time that results are passed on and the next, over those that a device takes at once."""


class PackRun:
    """Trains the networks of one pack, or takes them from where they are kept, and evaluates all runs of them.

    Parameters
    ----------
    tell
        Called when epochs were done or kept.
    check
        Called between batches; may raise :class:`Stopped`.
    """

    def __init__(
        self, job: Job, members: Sequence[Training], tell: Callable[[EpochsDone], None], check: Callable[[], None]
    ) -> None:
        self.job, self.members, self.check = job, members, check
        self.configs, self.device = job.configs, job.device
        self.account = Account((training.config.network_key for training in members), tell)
        self.unsaved: dict[str, Failure] = {}
        self.data = data.load(**vars(members[0].config.data), root=job.data_root).to(job.device)
        self.networks = Networks(job.networks, job.device, self.data.checksum) if job.networks else None

    def ended(self) -> Iterator[RunEnded]:
        """What every run of the pack ends with, as soon as it is known."""
        started = time.monotonic()
        with reproducibly():
            trained = self._trained()
        share = (time.monotonic() - started) / sum(len(training.runs) for training in self.members)
        for training, network in zip(self.members, trained, strict=True):
            for index in training.own:
                yield RunEnded(index, self._outcome(index, network, None, share))
        self._all_ended(training for training in self.members if not training.inference_only)
        yield from self._inference_only(trained, share)

    def _trained(self) -> list[Trained]:
        kept: dict[str, Trained] = {}
        missing: list[Training] = []
        for training in self.members:
            key, epochs = training.config.network_key, training.config.training.epochs
            found = self.networks.load(training.config) if self.networks else None
            if found is None:
                missing.append(training)
            else:
                kept[key] = found
                self.account.note(key, done=epochs, resumed=epochs, kept=epochs)
        self.account.tell()
        if missing:
            kept |= self._train(missing)
        return [kept[training.config.network_key] for training in self.members]

    def _train(self, trainings: Sequence[Training]) -> dict[str, Trained]:
        """The networks of these trainings, by network key."""
        keys = [training.config.network_key for training in trainings]
        keeping = self._keeping()

        def after_epoch(epochs: list[int]) -> None:
            for key, done in zip(keys, epochs, strict=True):
                self.account.note(key, done=done)
            self.account.tell()

        try:
            trained = train_pack(
                [training.config for training in trainings],
                self.data,
                self.device,
                after_batch=self.check,
                after_epoch=after_epoch,
                keeping=keeping,
            )
        except Stopped:
            self.account.tell()
            raise
        networks, needed = dict(zip(keys, trained, strict=True)), set[str]()
        for training, key in zip(trainings, keys, strict=True):
            if not self._save(training.config, key, networks[key]) and training.inference_only:
                needed.add(key)
        if needed:
            keeping.write(needed)
        self.account.tell()
        return networks

    def _keeping(self) -> Keeping:
        if self.job.checkpoints is None:
            return Keeping()
        return KeepingCheckpoints(self.job.checkpoints, self.device, self.data.checksum, self.account)

    def _save(self, config: RunConfig, key: str, network: Trained) -> bool:
        """Keep a network in the folder of networks, where it is one for it; return whether it is there now."""
        if self.networks is None or (config.noisy and not config.training.keep_network):
            return False
        try:
            self.networks.save(config, network)
        except OSError as error:  # fails the runs that asked for it; to the others it only cost time
            fault = f"training.keep_network: the network could not be stored: {error}"
            self.unsaved[key] = Failure(fault)
            return False
        self.account.note(key, kept=config.training.epochs)
        return True

    def _all_ended(self, trainings: Iterable[Training]) -> None:
        for training in trainings:
            self.account.note(training.config.network_key, kept=training.config.training.epochs)
        self.account.tell()

    def _inference_only(self, trained: Sequence[Trained], share: float) -> Iterator[RunEnded]:
        """One pass for each run with noise at inference only, some of them at a time."""
        runs = [(member, index) for member, training in enumerate(self.members) for index in training.inference_only]
        if not runs:
            return
        passes = Passes(self.members, trained, self.job, self.data, self.check)
        last = {training.inference_only[-1]: training for training in self.members if training.inference_only}
        for part in evenly(runs, ROUNDS * capacity.evaluated_together(self.members[0].config, self.device)):
            started = time.monotonic()
            with reproducibly():
                found = passes.of(part)
            seconds = share + (time.monotonic() - started) / len(part)
            for member, index in part:
                yield RunEnded(index, self._outcome(index, trained[member], found[index], seconds))
            self._all_ended(last[index] for _, index in part if index in last)

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
