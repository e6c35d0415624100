"""Executor of a pack: it trains the networks or loads them from the cache, and evaluates all runs that need them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from walking_noise import data
from walking_noise.checkpoints.checkpoint_policy import CheckpointPolicy
from walking_noise.checkpoints.network_cache import NetworkCache
from walking_noise.checkpoints.provenance import provenance
from walking_noise.config.run_config import RunConfig
from walking_noise.errors import Stopped
from walking_noise.evaluation.evaluator import Evaluation
from walking_noise.noise.audit import mismatch
from walking_noise.pack.partition import split_evenly
from walking_noise.reproducibility import deterministic
from walking_noise.runtime.inference_only import InferenceOnlyEvaluation
from walking_noise.runtime.planner import PlannedTraining
from walking_noise.runtime.results import Failure, Outcome, result_of
from walking_noise.runtime.run_context import RunContext, RunEnded
from walking_noise.runtime.sizing import capacity
from walking_noise.training.callbacks import TrainingCallbacks
from walking_noise.training.distillation import Teachers, teachers_of
from walking_noise.training.epoch_counts import EpochCounter, EpochsDone
from walking_noise.training.member import TrainedNetwork
from walking_noise.training.trainer import train_pack

GROUPS_PER_REPORT = 16
"""Number of groups of inference-only runs that are evaluated before their results are yielded."""


class PackExecutor:
    """Trains the networks of one pack, or loads them from the cache, and evaluates all runs that need them.

    ``on_epochs`` and ``after_batch`` are those of :func:`walking_noise.runtime.retry_by_bisection.run_pack`.
    ``unsaved`` has, by network key, the failures of networks that ``training.keep_network`` should keep but that could
    not be stored.
    """

    def __init__(
        self,
        context: RunContext,
        trainings: Sequence[PlannedTraining],
        on_epochs: Callable[[EpochsDone], None],
        after_batch: Callable[[], None],
    ) -> None:
        self.context, self.trainings, self.after_batch = context, trainings, after_batch
        self.configs, self.device = context.configs, context.device
        needed = (one.network_key for training in trainings for one in training.config.with_teacher)
        self.counter = EpochCounter(needed, on_epochs)
        self.unsaved: dict[str, Failure] = {}
        self.data = data.load(**vars(trainings[0].config.data), root=context.data_root).to(context.device)
        self.cache = NetworkCache(context.networks, context.device, self.data.checksum) if context.networks else None
        self.group_size = partial(capacity.evaluation_group_size, trainings[0].config, context.device)

    def run(self) -> Iterator[RunEnded]:
        """Yield the outcome of every run as soon as it is known."""
        started = time.monotonic()
        networks = self._networks()
        share = (time.monotonic() - started) / sum(len(training.runs) for training in self.trainings)
        for training, network in zip(self.trainings, networks, strict=True):
            for index in training.own:
                yield RunEnded(index, self._outcome(index, network, None, share))
        self._count_as_kept(training for training in self.trainings if not training.inference_only)
        yield from self._inference_only(networks, share)

    def _networks(self) -> list[TrainedNetwork]:
        """The trained network of every training: teachers first, loaded from the cache or trained now."""
        planned = {training.config.network_key: training for training in self.trainings}
        networks = self._found(planned.values())
        students = [one for key, one in planned.items() if one.config.teacher is not None and key not in networks]
        teachers = {one.network_key: PlannedTraining(one) for one in teachers_of([each.config for each in students])}
        networks |= self._found(teachers[key] for key in teachers.keys() - planned.keys())
        self.counter.report()
        for trainings in ([one for one in (teachers | planned).values() if one not in students], students):
            missing = [one for one in trainings if one.config.network_key not in networks]
            if missing:
                networks |= self._train(missing, {key: networks[key].state for key in teachers if key in networks})
        return [networks[key] for key in planned]

    def _found(self, trainings: Iterable[PlannedTraining]) -> dict[str, TrainedNetwork]:
        """The networks that are in the cache, by network key."""
        found: dict[str, TrainedNetwork] = {}
        for training in trainings:
            key, epochs = training.config.network_key, training.config.training.epochs
            if cached := self.cache.load(training.config) if self.cache else None:
                found[key] = cached
                self.counter.update(key, done=epochs, resumed=epochs, kept=epochs)
        return found

    def _train(self, trainings: Sequence[PlannedTraining], teachers: Teachers) -> dict[str, TrainedNetwork]:
        """Train networks as one pack; return them by network key."""
        keys = [training.config.network_key for training in trainings]
        checkpoints, callbacks = self.context.checkpoints, TrainingCallbacks()
        if checkpoints is not None:
            callbacks = CheckpointPolicy(checkpoints, self.device, self.data.checksum, self.counter)

        def after_epoch(epochs: list[int]) -> None:
            for key, done in zip(keys, epochs, strict=True):
                self.counter.update(key, done=done)
            self.counter.report()

        try:
            trained = train_pack(
                [training.config for training in trainings],
                self.data,
                self.device,
                after_batch=self.after_batch,
                after_epoch=after_epoch,
                callbacks=callbacks,
                group_size=self.group_size,
                teachers=teachers,
            )
        except Stopped:
            self.counter.report()
            raise
        networks, to_checkpoint = dict(zip(keys, trained, strict=True)), set[str]()
        for training, key in zip(trainings, keys, strict=True):
            if not self._store(training.config, key, networks[key]) and training.inference_only:
                to_checkpoint.add(key)
        if to_checkpoint:
            callbacks.write(to_checkpoint)
        self.counter.report()
        return networks

    def _store(self, config: RunConfig, key: str, network: TrainedNetwork) -> bool:
        """Store a network in the cache if other runs can share it or it is to be kept. Return whether it was."""
        if self.cache is None or not (config.shares_network or config.training.keep_network):
            return False
        try:
            self.cache.save(config, network)
        except OSError as error:  # only the runs with training.keep_network fail
            self.unsaved[key] = Failure(f"training.keep_network: the network could not be stored: {error}")
            return False
        self.counter.update(key, kept=config.training.epochs)
        return True

    def _count_as_kept(self, trainings: Iterable[PlannedTraining]) -> None:
        """Count all epochs of these trainings as saved, since all of their runs have results."""
        for training in trainings:
            self.counter.update(training.config.network_key, kept=training.config.training.epochs)
        self.counter.report()

    def _inference_only(self, networks: Sequence[TrainedNetwork], share: float) -> Iterator[RunEnded]:
        """Evaluate the inference-only runs, a number of groups at a time."""
        runs = [(member, index) for member, training in enumerate(self.trainings) for index in training.inference_only]
        if not runs:
            return
        evaluation = InferenceOnlyEvaluation(self.context, self.trainings, networks, self.data, self.after_batch)
        last = {training.inference_only[-1]: training for training in self.trainings if training.inference_only}
        for part in split_evenly(runs, GROUPS_PER_REPORT * self.group_size()):
            started = time.monotonic()
            with deterministic():
                evaluated = evaluation.evaluate(part)
            seconds = share + (time.monotonic() - started) / len(part)
            for member, index in part:
                yield RunEnded(index, self._outcome(index, networks[member], evaluated[index], seconds))
            self._count_as_kept(last[index] for _, index in part if index in last)

    def _outcome(
        self, index: int, network: TrainedNetwork, inference_only: Evaluation | Failure | None, seconds: float
    ) -> Outcome:
        """The outcome of a run; a failure if its injected noise differs from the configured noise."""
        if isinstance(inference_only, Failure):
            return inference_only
        config = self.configs[index]
        keep = config.training.keep_network
        if keep and config.network_key in self.unsaved:
            return self.unsaved[config.network_key]
        evaluation = inference_only or network.evaluations[-1]
        recorded = config.training.epochs if config.training_redraw == "chip" else 1
        audits = (evaluation.audit, config.drawn_levels, 1), (network.training_audit, config.training_levels, recorded)
        for audit, levels, repetitions in audits:
            if audit and (fault := mismatch(audit, levels, config.noise_kind.kurtosis, repetitions)):
                return Failure(f"the injected noise differs from the configured noise: {fault}")
        return result_of(
            config,
            network,
            inference_only,
            self.data,
            network_file=self.cache.name(config) if keep and self.cache else None,
            seconds=seconds,
            pack_size=len(self.trainings),
            device=self.device.type,
            provenance=provenance(config, self.data, self.device),
        )
