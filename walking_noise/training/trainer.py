"""Training loop of a pack: its members train together, epoch by epoch; diverged ones leave, resumed ones join."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from walking_noise.config.consistency import check_last_batch
from walking_noise.config.run_config import RunConfig
from walking_noise.data import DataSet
from walking_noise.data.batches import TrainingBatches
from walking_noise.errors import Stopped
from walking_noise.evaluation.evaluator import Evaluation, evaluate
from walking_noise.noise.audit import Audit
from walking_noise.noise.injection import Injection
from walking_noise.noise.weight_noise import WeightNoise
from walking_noise.pack.pack import Pack, cross_entropy
from walking_noise.pack.stacking import StackedState, load_states, unstack
from walking_noise.reproducibility import deterministic
from walking_noise.training.adam.packed_adam import PackedAdam, cosine_rate
from walking_noise.training.callbacks import Snapshot, TrainingCallbacks
from walking_noise.training.cuda_graph import CudaGraphRecorder, GraphedStep
from walking_noise.training.distillation import Distillation, Teachers, start_at_teachers
from walking_noise.training.divergence import DivergenceMonitor
from walking_noise.training.member import Member, TrainedNetwork
from walking_noise.training.weight_bounds import WeightClip, weight_bounds, weight_decay


@deterministic()
def train_pack(
    configs: Sequence[RunConfig],
    data: DataSet,
    device: torch.device,
    *,
    after_batch: Callable[[], None] = lambda: None,
    after_epoch: Callable[[list[int]], None] = lambda epochs: None,
    callbacks: TrainingCallbacks | None = None,
    group_size: Callable[[], int] | None = None,
    teachers: Teachers | None = None,
) -> list[TrainedNetwork]:
    """Train runs of equal pack key as one network. Their numbers are the same as if each were trained separately.

    A diverged run leaves the pack after the epoch in which it diverged. A run that resumes at a later epoch than others
    waits until the others have reached that epoch.

    Parameters
    ----------
    after_batch
        Called after each batch of training and of evaluation; may raise to stop.
    after_epoch
        Called with the number of epochs that each run has completed.
    callbacks
        Resume members, and save them at the end of an epoch. Default: all start at epoch 0, and nothing is saved.
    group_size
        Returns, before an evaluation, the maximum number of runs that are evaluated together. Default: no limit.
    teachers
        The teachers of the runs that have one.
    """
    check_last_batch(configs[0], len(data.train_labels))
    data, callbacks = data.to(device), callbacks or TrainingCallbacks()
    members = callbacks.resume(configs)
    trained: dict[Member, TrainedNetwork] = {}
    trainer: PackTrainer | None = None

    def trainer_of(members: list[Member], previous: PackTrainer | None) -> PackTrainer:
        """The previous trainer if it has these members, else a new one; then the previous one releases its members."""
        if previous is not None:
            if previous.members == members:
                return previous
            previous.release_members()
        return PackTrainer(members, data, device, group_size, teachers)

    try:
        while unfinished := [one for one in members if one.epoch < one.epochs]:
            epoch = min(one.epoch for one in unfinished)
            trainer = trainer_of([one for one in unfinished if one.epoch == epoch], trainer)
            trainer.train_epoch(after_batch)
            trainer.evaluate(after_batch)
            callbacks.epoch_ended(trainer)
            if diverged := trainer.diverged_members():
                skipping = trainer_of(diverged, trainer)
                skipping.fast_forward(after_batch)
                callbacks.fast_forwarded(skipping)
                trained |= skipping.trained_networks()
                trainer = None
            after_epoch([one.epoch for one in members])
    except (Stopped, KeyboardInterrupt):
        callbacks.write()
        raise
    if finished := [one for one in members if one not in trained]:
        trained |= trainer_of(finished, trainer).trained_networks()
    return [trained[one] for one in members]


class PackTrainer:
    """Trainer of members with equal pack key that have completed the same number of epochs.

    Parameters
    ----------
    members
        New or resumed members. Their state is moved into the trainer, and back by :meth:`release_members`.
    group_size
        Returns the maximum number of members that are evaluated together; None: no limit.

    Attributes
    ----------
    epoch
        The number of completed epochs.
    index
        int64 ``(1,)``: the number of completed steps since the start of the runs.
    total
        ``(K,)``: the sum of each member's losses over the samples of this epoch.
    """

    def __init__(
        self,
        members: Sequence[Member],
        data: DataSet,
        device: torch.device,
        group_size: Callable[[], int] | None = None,
        teachers: Teachers | None = None,
    ) -> None:
        if len({(one.epoch, one.config.pack_key) for one in members}) != 1:
            raise ValueError("all members of a trainer must have the same pack key and number of completed epochs")
        self.epoch = members[0].epoch
        self.members, self.data, self.group_size = list(members), data.to(device), group_size
        self.configs = configs = [one.config for one in members]
        if self.epoch:  # the weights are overwritten below
            networks = [configs[0].initial_network()] * len(configs)
        else:
            networks = [config.initial_network() for config in configs]
        self.pack = Pack(networks).to(device)
        self.distillation = Distillation(configs, teachers or {}, device)
        self.optimizer = PackedAdam(
            list(self.pack.parameters()), weight_bounds(configs, self.pack), weight_decay(configs, device)
        )
        self.clip_weights = WeightClip(configs, self.pack)
        self.divergence = DivergenceMonitor(len(configs), device)
        self.audit = Audit(len(configs[0].points), len(configs), device)
        self.noise = Injection(configs, "training", device)
        self.weight_noise = WeightNoise(configs, "training", self.pack)
        self.index = torch.zeros(1, dtype=torch.int64, device=device)
        self.total = torch.zeros(len(configs), device=device)
        batch_size, capturable = configs[0].training.batch_size, self.noise.capturable and self.weight_noise.capturable
        self.graph = (
            GraphedStep(batch_size, CudaGraphRecorder(device)) if capturable and device.type == "cuda" else None
        )
        self.batches = TrainingBatches(self.data, [config.seed for config in configs], batch_size)
        if self.epoch:
            load_states(self._stacked_state(), [one.state for one in members])
            for one in members:
                one.state = {}
        else:
            start_at_teachers(self.pack.stacked_state(), configs, teachers or {})

    def train_epoch(self, after_batch: Callable[[], None]) -> None:
        """Train every member for one epoch. A GPU is synchronised only at the end."""
        self._start_epoch()
        training = self.configs[0].training
        self.optimizer.anneal(cosine_rate(training.learning_rate, self.epoch, training.epochs))
        step = self.step if self.graph is None else partial(self.graph, self.step)
        audit: Audit | None = self.audit
        for x, y in self.batches.epoch(self.epoch):
            step(x, y, audit)
            audit = None
            after_batch()
        self._end_epoch((self.total / len(self.data.train_labels)).tolist())
        self.divergence.after_epoch(self.pack, self.optimizer, self.epoch)

    def step(self, x: Tensor, y: Tensor, audit: Audit | None = None) -> None:
        """Train on inputs ``(rows, B, …)``, at most K rows, and labels ``(K, B)``. ``audit`` measures the noise.

        A step never synchronises a GPU and changes tensors only in place, including :attr:`index`. So launching the
        same kernels again does the next step, and a CUDA graph can replay it.
        """
        logits = self._logits(x, audit)
        hard = cross_entropy(logits, y, self.data.class_weights)
        losses = self.distillation.losses(hard, logits, y, x, self.data.class_weights)
        self.divergence.after_loss(losses.detach(), self.optimizer)
        gradients = torch.autograd.grad(losses.sum(), self.optimizer.parameters, allow_unused=True)
        self.optimizer.step(gradients, self.index)
        self.clip_weights()
        self.total += losses.detach() * y.shape[1]
        self.index += 1

    def _logits(self, x: Tensor, audit: Audit | None) -> Tensor:
        """The logits ``(K, B, classes)`` at this step, with the noise of training on activations and weights."""
        return self.weight_noise.forward(self.pack, self.index, audit, x, self.noise.at(self.index, audit))

    def evaluate(self, after_batch: Callable[[], None]) -> None:
        """Evaluate the members whose accuracy after this epoch is part of their result."""
        chosen = [member for member, one in enumerate(self.members) if one.needs_evaluation]
        if chosen:
            evaluations = evaluate(
                self.pack,
                chosen,
                [self.configs[member] for member in chosen],
                self.data,
                self.epoch,
                audited=self.epoch == self.members[0].epochs,
                group_size=self.group_size() if self.group_size else None,
                after_batch=after_batch,
            )
            for member, evaluation in zip(chosen, evaluations, strict=True):
                self.members[member].evaluations.append(evaluation)

    def diverged_members(self) -> list[Member]:
        """The members whose remaining epochs need no training, since their results are already determined.

        Each of their parameters contains a NaN. So all logits, losses and gradients are NaN from now on.
        """
        if not any(self.divergence.diverged_epoch) or self.epoch == self.members[0].epochs:
            return []
        with_nan = [
            parameter.detach().isnan().reshape(len(parameter), -1).any(1) for parameter in self.pack.parameters()
        ]
        diverged = torch.stack(with_nan).all(0).tolist()
        return [one for one, has_diverged in zip(self.members, diverged, strict=True) if has_diverged]

    @torch.no_grad()
    def fast_forward(self, after_batch: Callable[[], None]) -> None:
        """Complete the remaining epochs without training. All members must have diverged.

        Their losses are NaN, and their accuracies are those of chance. The noise that the audits measure is not known
        in advance. To measure it, the first batch of every epoch and, at the end, the validation set pass through the
        network.
        """
        constant, epochs = Evaluation(self.data.chance_accuracy, nonfinite=1.0), self.members[0].epochs
        while self.epoch < epochs:
            self._start_epoch()
            x, _ = next(self.batches.epoch(self.epoch))
            self._logits(x, self.audit)
            after_batch()
            self._end_epoch([float("nan")] * len(self.members))
            if self.epoch == epochs:
                self.evaluate(after_batch)
            else:
                for one in self.members:
                    if one.needs_evaluation:
                        one.evaluations.append(constant)

    def release_members(self) -> None:
        """Move the state back into the members. The trainer must not be used afterwards."""
        for one, state in zip(self.members, unstack(self._stacked_state()), strict=True):
            one.state = state

    def snapshot(self) -> Snapshot:
        """Return a snapshot of the members at this epoch. A GPU is not synchronised until the snapshot is called."""
        stacked = {name: tensor.clone() for name, tensor in self._stacked_state().items()}
        members = [one.snapshot() for one in self.members]

        def unstack_snapshot() -> list[Member]:
            states = unstack({name: tensor.cpu() for name, tensor in stacked.items()})
            return [replace(one, state=state) for one, state in zip(members, states, strict=True)]

        return unstack_snapshot

    def trained_networks(self) -> dict[Member, TrainedNetwork]:
        """The trained network of every member."""
        weights = {
            name: weight.detach().abs().flatten(1).mean(1).tolist() for name, weight in self.pack.weights().items()
        }
        states = unstack({name: tensor.cpu() for name, tensor in self.pack.stacked_state().items()})
        overflow, diverged = self.divergence.overflow_epoch, self.divergence.diverged_epoch
        return {
            one: TrainedNetwork(
                state={name: tensor.clone() for name, tensor in states[member].items()},
                training_loss=one.training_loss,
                evaluations=one.evaluations,
                mean_abs_weight={name: values[member] for name, values in weights.items()},
                training_audit=self.audit.of(member) if one.config.noisy_training else None,
                overflow_epoch=overflow[member],
                diverged_epoch=diverged[member],
            )
            for member, one in enumerate(self.members)
        }

    def _stacked_state(self) -> StackedState:
        """The complete state of all members, by ``part.name``: the tensors of the parts themselves, not copies."""
        parts = {"network": self.pack.stacked_state(), "adam": self.optimizer.stacked_state()}
        parts |= {"health": self.divergence.stacked_state(), "audit": self.audit.stacked_state()}
        return {f"{part}.{name}": stack for part, stacks in parts.items() for name, stack in stacks.items()}

    def _start_epoch(self) -> None:
        self.pack.train()
        self.index.fill_(self.epoch * self.batches.steps)
        self.total.zero_()

    def _end_epoch(self, losses: Sequence[float]) -> None:
        self.epoch += 1
        for one, loss in zip(self.members, losses, strict=True):
            one.add_epoch(loss)
