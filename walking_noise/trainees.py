"""The members of a pack on their way through training, epoch by epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from walking_noise.capture import replayed
from walking_noise.config import RunConfig
from walking_noise.data import DataSet, TrainingBatches
from walking_noise.evaluation import Evaluation, evaluate
from walking_noise.health import Health
from walking_noise.noise.audit import Audit
from walking_noise.noise.injection import Injection
from walking_noise.optimizer import PackedAdam, cosine_rate
from walking_noise.pack import Pack, initialised
from walking_noise.step import Step

LAST_EPOCHS = 5
"""A run's accuracy is the mean over this many last epochs (method of the released configurations)."""


@dataclass(frozen=True)
class Trained:
    """One trained network and what was seen on the way.

    Attributes
    ----------
    state
        Its parameters and buffers, by name, on the CPU. Of a run that was lost on the way, those it was lost with.
    training_loss
        Mean cross-entropy of each epoch.
    evaluations
        With the run's own noise, after each of the last :data:`LAST_EPOCHS` epochs, or after every epoch if the run
        asks for its curve.
    mean_abs_weight
        Of each conv and linear layer, after training.
    training_audit
        The spread of noise and signal in the first batch of every epoch; None without noise in training.
    overflow_epoch, diverged_epoch
        See :class:`walking_noise.health.Health`.
    """

    state: dict[str, Tensor]
    training_loss: list[float]
    evaluations: list[Evaluation]
    mean_abs_weight: dict[str, float]
    training_audit: dict[str, Any] | None
    overflow_epoch: int | None
    diverged_epoch: int | None


class Trainees:
    """Runs of one pack key that train together, each at an epoch of its own.

    Parameters
    ----------
    networks
        What they start from; None: their own initialisations.

    Attributes
    ----------
    places
        Where each stood among the runs at the start.
    epochs
        How many each has done.
    """

    def __init__(
        self,
        configs: Sequence[RunConfig],
        data: DataSet,
        device: torch.device,
        networks: Sequence[nn.Sequential] | None = None,
    ) -> None:
        self.configs, self.data, self.device = list(configs), data, device
        self.pack = Pack(networks or [initialised(config) for config in configs]).to(device)
        self.optimizer = PackedAdam(list(self.pack.parameters()), _weight_bounds(configs, self.pack))
        self.health = Health(len(configs), device)
        self.audit = Audit(len(configs[0].points), len(configs), device)
        noise = Injection(configs, "training", device)
        self.step = Step(self.pack, noise, self.optimizer, self.health, data.class_weights)
        batch_size = configs[0].training.batch_size
        self.do_step = replayed(self.step, batch_size, device)
        self.batches = TrainingBatches(data, [config.seed for config in configs], batch_size, device)
        self.places = list(range(len(configs)))
        self.epochs = [0] * len(configs)
        self.losses: list[list[float]] = [[] for _ in configs]
        self.evaluations: list[list[Evaluation]] = [[] for _ in configs]

    def train_epoch(self, after_batch: Callable[[], None]) -> None:
        """Train every member through its next epoch; on a GPU it is waited for at the end only."""
        self._start_epoch()
        rates = [
            cosine_rate(config.training.learning_rate, epoch, config.training.epochs)
            for config, epoch in zip(self.configs, self.epochs, strict=True)
        ]
        self.optimizer.anneal(rates)
        audit: Audit | None = self.audit
        for x, y in self.batches.epoch(self.epochs):
            self.do_step(x, y, audit)
            audit = None
            after_batch()
        self._end_epoch((self.step.total / len(self.data.train_labels)).tolist())
        self.health.after_epoch(self.pack, self.optimizer, self.epochs)

    def evaluate(self) -> None:
        """Score every member whose accuracy after this epoch is asked for."""
        for epoch in sorted(set(self.epochs)):
            due = [member for member in self._due() if self.epochs[member] == epoch]
            configs = [self.configs[member] for member in due]
            last = epoch == self.configs[0].training.epochs
            if due:
                scores = evaluate(self.pack, due, configs, self.data, epoch, audited=last)
                for member, score in zip(due, scores, strict=True):
                    self.evaluations[member].append(score)

    def without_lost(self) -> tuple[Trainees | None, Trainees | None]:
        """The members that can still learn, and those with epochs to go that no training can change any more.

        The latter have a NaN in each of their parameters, and so in all of their logits, losses and gradients from now
        on. None: there are none.
        """
        if not any(self.health.diverged_epoch) or self.epochs[0] == self.configs[0].training.epochs:
            return self, None
        broken = [parameter.detach().isnan().flatten(1).any(1) for parameter in self.pack.parameters()]
        fates = torch.stack(broken).all(0).tolist()
        if not any(fates):
            return self, None
        kept, lost = ([member for member, fate in enumerate(fates) if fate == wanted] for wanted in (False, True))
        return self._chosen(kept) if kept else None, self._chosen(lost)

    @torch.no_grad()
    def foresee(self, after_batch: Callable[[], None]) -> None:
        """Note what the remaining epochs of members that are all lost would come to, without training them.

        Losses and accuracies are known. The audits are not: for them the first batch of every epoch passes through,
        and the validation set after the last.
        """
        constant = Evaluation(self.data.floor, nonfinite=1.0)
        for epoch in range(self.epochs[0] + 1, self.configs[0].training.epochs + 1):
            self._start_epoch()
            x, _ = next(self.batches.epoch(self.epochs))
            self.pack(x, self.step.noise.at_place(self.step.place, self.audit))
            after_batch()
            self._end_epoch([float("nan")] * len(self.configs))
            if epoch == self.configs[0].training.epochs:
                self.evaluate()
            else:
                for member in self._due():
                    self.evaluations[member].append(constant)

    def _chosen(self, members: Sequence[int]) -> Trainees:
        """Some of the members, by themselves, as they are now."""
        alike = [initialised(self.configs[0])] * len(members)
        chosen = Trainees([self.configs[member] for member in members], self.data, self.device, alike)
        state = self.pack.chosen_state(members)
        for name, tensor in chosen.pack.stacked_state().items():
            tensor.copy_(state[name])
        chosen.optimizer.take_up(self.optimizer, members)
        chosen.health.take_up(self.health, members)
        chosen.audit.take_up(self.audit, members)
        chosen.places = [self.places[member] for member in members]
        chosen.epochs = [self.epochs[member] for member in members]
        chosen.losses = [self.losses[member] for member in members]
        chosen.evaluations = [self.evaluations[member] for member in members]
        return chosen

    def trained(self) -> dict[int, Trained]:
        """What became of every member, by its place."""
        weights = {
            name: weight.detach().abs().flatten(1).mean(1).tolist() for name, weight in self.pack.weights().items()
        }
        return {
            self.places[member]: Trained(
                state={name: tensor.cpu() for name, tensor in self.pack.member_state(member).items()},
                training_loss=self.losses[member],
                evaluations=self.evaluations[member],
                mean_abs_weight={name: values[member] for name, values in weights.items()},
                training_audit=self.audit.of(member) if config.noisy_training else None,
                overflow_epoch=self.health.overflow_epoch[member],
                diverged_epoch=self.health.diverged_epoch[member],
            )
            for member, config in enumerate(self.configs)
        }

    def _start_epoch(self) -> None:
        self.pack.train()
        (epoch,) = set(self.epochs)  # the place of the noise is one for all members
        self.step.place.fill_(epoch * self.batches.steps)
        self.step.total.zero_()

    def _end_epoch(self, losses: Sequence[float]) -> None:
        self.epochs = [epoch + 1 for epoch in self.epochs]
        for seen, loss in zip(self.losses, losses, strict=True):
            seen.append(loss)

    def _due(self) -> list[int]:
        """The members whose accuracy after the epoch just done is asked for."""
        return [
            member
            for member, (config, epoch) in enumerate(zip(self.configs, self.epochs, strict=True))
            if config.evaluation.curve or epoch > config.training.epochs - LAST_EPOCHS
        ]


def _weight_bounds(configs: Sequence[RunConfig], pack: Pack) -> list[Tensor | None]:
    """For each parameter of the pack the runs' bounds ``(K,)``: those of conv and linear weights are clamped.

    None where all are free.
    """
    each = [config.training.weight_clamp or float("inf") for config in configs]
    weights = set(pack.weights().values())
    bounds = torch.tensor(each, device=next(pack.parameters()).device) if min(each) < float("inf") else None
    return [bounds if parameter in weights else None for parameter in pack.parameters()]
