"""The members of a pack on their way through training, epoch by epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from walking_noise.capture import replayed
from walking_noise.config import RunConfig
from walking_noise.data import DataSet, TrainingBatches
from walking_noise.evaluation import Evaluation, evaluate
from walking_noise.health import Health
from walking_noise.noise.audit import Audit
from walking_noise.noise.injection import Injection
from walking_noise.optimizer import PackedAdam, cosine_rate
from walking_noise.pack import Pack, initialised
from walking_noise.stacks import Stacks, cut, put_together, stacks_of
from walking_noise.step import Step
from walking_noise.trainee import Trained, Trainee

Held = Callable[[], list[Trainee]]
"""Members as they were when they were held, on the CPU: cut apart when they are asked for."""


class Trainees:
    """Runs of one pack key that train together, all at the same epoch.

    Parameters
    ----------
    members
        Fresh ones, or ones that all have done as many epochs; from now on their state is here, until they :meth:`part`.

    Attributes
    ----------
    epoch
        How many they have done.
    """

    def __init__(self, members: Sequence[Trainee], data: DataSet, device: torch.device) -> None:
        (self.epoch,) = {one.epoch for one in members}  # the place of the noise is one for all
        self.members, self.data = list(members), data
        self.configs = configs = [one.config for one in members]
        some = [initialised(configs[0])] * len(configs) if self.epoch else [initialised(config) for config in configs]
        self.pack = Pack(some).to(device)
        self.optimizer = PackedAdam(list(self.pack.parameters()), _weight_bounds(configs, self.pack))
        self.health = Health(len(configs), device)
        self.audit = Audit(len(configs[0].points), len(configs), device)
        noise = Injection(configs, "training", device)
        self.step = Step(self.pack, noise, self.optimizer, self.health, data.class_weights)
        batch_size = configs[0].training.batch_size
        self.do_step = replayed(self.step, batch_size, device)
        self.batches = TrainingBatches(data, [config.seed for config in configs], batch_size, device)
        if self.epoch:
            put_together(self._stacks(), [one.state for one in members])
            for one in members:
                one.state = {}

    def train_epoch(self, after_batch: Callable[[], None]) -> None:
        """Train every member through its next epoch; on a GPU it is waited for at the end only."""
        self._start_epoch()
        self.optimizer.anneal(
            [cosine_rate(config.training.learning_rate, self.epoch, config.training.epochs) for config in self.configs]
        )
        audit: Audit | None = self.audit
        for x, y in self.batches.epoch(self.epoch):
            self.do_step(x, y, audit)
            audit = None
            after_batch()
        self._end_epoch((self.step.total / len(self.data.train_labels)).tolist())
        self.health.after_epoch(self.pack, self.optimizer, self.epoch)

    def evaluate(self, after_batch: Callable[[], None]) -> None:
        """Score every member whose accuracy after this epoch is asked for."""
        scored = [member for member, one in enumerate(self.members) if one.is_scored]
        if scored:
            configs, last = [self.configs[member] for member in scored], self.epoch == self.members[0].epochs
            scores = evaluate(self.pack, scored, configs, self.data, self.epoch, audited=last, check=after_batch)
            for member, score in zip(scored, scores, strict=True):
                self.members[member].evaluations.append(score)

    def lost(self) -> list[Trainee]:
        """The members with epochs to go that no training can change any more.

        They have a NaN in each of their parameters, and so in all of their logits, losses and gradients from now on.
        """
        if not any(self.health.diverged_epoch) or self.epoch == self.members[0].epochs:
            return []
        broken = [parameter.detach().isnan().flatten(1).any(1) for parameter in self.pack.parameters()]
        fates = torch.stack(broken).all(0).tolist()
        return [one for one, fate in zip(self.members, fates, strict=True) if fate]

    @torch.no_grad()
    def foresee(self, after_batch: Callable[[], None]) -> None:
        """Note what the remaining epochs of members that are all lost would come to, without training them.

        Losses and accuracies are known. The audits are not: for them the first batch of every epoch passes through,
        and the validation set after the last.
        """
        constant, epochs = Evaluation(self.data.floor, nonfinite=1.0), self.members[0].epochs
        while self.epoch < epochs:
            self._start_epoch()
            x, _ = next(self.batches.epoch(self.epoch))
            self.pack(x, self.step.noise.at_place(self.step.place, self.audit))
            after_batch()
            self._end_epoch([float("nan")] * len(self.members))
            if self.epoch == epochs:
                self.evaluate(after_batch)
            else:
                for one in self.members:
                    if one.is_scored:
                        one.evaluations.append(constant)

    def part(self) -> None:
        """Give the members their state back. They are in no pack from now on."""
        for one, state in zip(self.members, cut(self._stacks()), strict=True):
            one.state = state

    def held(self) -> Held:
        """The members as they stand; a GPU is not waited for until they are asked for."""
        stacks = {name: stack.clone() for name, stack in self._stacks().items()}
        members = [one.as_it_stands() for one in self.members]

        def cut_apart() -> list[Trainee]:
            states = cut({name: stack.cpu() for name, stack in stacks.items()})
            return [replace(one, state=state) for one, state in zip(members, states, strict=True)]

        return cut_apart

    def trained(self) -> dict[Trainee, Trained]:
        """What became of every member."""
        weights = {
            name: weight.detach().abs().flatten(1).mean(1).tolist() for name, weight in self.pack.weights().items()
        }
        overflow, diverged = self.health.overflow_epoch, self.health.diverged_epoch
        return {
            one: Trained(
                state={name: tensor.cpu() for name, tensor in self.pack.member_state(member).items()},
                training_loss=one.training_loss,
                evaluations=one.evaluations,
                mean_abs_weight={name: values[member] for name, values in weights.items()},
                training_audit=self.audit.of(member) if one.config.noisy_training else None,
                overflow_epoch=overflow[member],
                diverged_epoch=diverged[member],
            )
            for member, one in enumerate(self.members)
        }

    def _stacks(self) -> Stacks:
        return stacks_of(network=self.pack, adam=self.optimizer, health=self.health, audit=self.audit)

    def _start_epoch(self) -> None:
        self.pack.train()
        self.step.place.fill_(self.epoch * self.batches.steps)
        self.step.total.zero_()

    def _end_epoch(self, losses: Sequence[float]) -> None:
        self.epoch += 1
        for one, loss in zip(self.members, losses, strict=True):
            one.ended_epoch(loss)


def _weight_bounds(configs: Sequence[RunConfig], pack: Pack) -> list[Tensor | None]:
    """For each parameter of the pack the runs' bounds ``(K,)``: those of conv and linear weights are clamped.

    None where all are free.
    """
    each = [config.training.weight_clamp or float("inf") for config in configs]
    weights = set(pack.weights().values())
    bounds = torch.tensor(each, device=next(pack.parameters()).device) if min(each) < float("inf") else None
    return [bounds if parameter in weights else None for parameter in pack.parameters()]
