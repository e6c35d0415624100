"""The loop over a pack: epochs, schedule, clamping, evaluation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from walking_noise.config import RunConfig
from walking_noise.data import DataSet, TrainingBatches
from walking_noise.errors import refused
from walking_noise.evaluation import Evaluation, evaluate
from walking_noise.health import Health
from walking_noise.noise.audit import Audit
from walking_noise.noise.injection import Injection
from walking_noise.optimizer import PackedAdam, cosine_rate
from walking_noise.pack import Pack, initialised

LAST_EPOCHS = 5
"""A run's accuracy is the mean over this many last epochs (method of the released configurations)."""


@dataclass(frozen=True)
class Trained:
    """One trained network and what was seen on the way.

    Attributes
    ----------
    state
        Its parameters and buffers, by name, on the CPU.
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


def train_pack(
    configs: Sequence[RunConfig],
    data: DataSet,
    device: torch.device,
    *,
    after_batch: Callable[[], None] = lambda: None,
    after_epoch: Callable[[], None] = lambda: None,
) -> list[Trained]:
    """Train runs of one pack key together, each as if it were alone.

    ``after_batch`` may raise to stop the training.
    """
    training = configs[0].training
    _check_last_batch(configs[0], len(data.train_labels))
    data = data.to(device)
    pack = Pack([initialised(config) for config in configs]).to(device)
    optimizer = PackedAdam(list(pack.parameters()))
    noise = Injection(configs, "training", device)
    audit = Audit(len(configs[0].points), len(configs))
    batches = TrainingBatches(data, [config.seed for config in configs], training.batch_size, device)
    bounds = _weight_bounds(configs, device)
    health = Health(len(configs))
    losses: list[Tensor] = []
    evaluations: list[list[Evaluation]] = [[] for _ in configs]
    for epoch in range(training.epochs):
        pack.train()
        rates = [cosine_rate(config.training.learning_rate, epoch, training.epochs) for config in configs]
        total = torch.zeros(len(configs), device=device)
        for step, (x, y) in enumerate(batches.epoch(epoch), start=epoch * batches.steps):
            first = step == epoch * batches.steps
            logits = pack(x, noise.at(step, audit=audit if first else None))
            loss = _cross_entropy(logits, y, data.class_weights)
            health.after_loss(pack, loss.detach(), epoch + 1)
            loss.sum().backward()
            optimizer.step(rates)
            _clamp_weights(pack, bounds)
            total += loss.detach() * y.shape[1]
            after_batch()
        losses.append(total.cpu() / len(data.train_labels))
        health.after_epoch(pack, optimizer, epoch + 1)
        last = epoch + 1 == training.epochs
        due = [
            member
            for member, config in enumerate(configs)
            if config.evaluation.curve or epoch + 1 > training.epochs - LAST_EPOCHS
        ]
        if due:
            chosen = [configs[member] for member in due]
            scores = evaluate(pack, due, chosen, data, epoch + 1, audited=last)
            for member, score in zip(due, scores, strict=True):
                evaluations[member].append(score)
        after_epoch()
    weights = {name: weight.detach().abs().flatten(1).mean(1).tolist() for name, weight in pack.weights().items()}
    return [
        Trained(
            state={name: tensor.cpu() for name, tensor in pack.member_state(member).items()},
            training_loss=[float(loss[member]) for loss in losses],
            evaluations=evaluations[member],
            mean_abs_weight={name: values[member] for name, values in weights.items()},
            training_audit=audit.of(member) if config.noisy_training else None,
            overflow_epoch=health.overflow_epoch[member],
            diverged_epoch=health.diverged_epoch[member],
        )
        for member, config in enumerate(configs)
    ]


def _check_last_batch(config: RunConfig, samples: int) -> None:
    size = config.training.batch_size
    if config.model.batch_norm and samples % size == 1:
        fault = f"of {samples} samples it leaves a last batch of one, on which BatchNorm cannot train"
        raise refused("training.batch_size", size, fault)


def _cross_entropy(logits: Tensor, labels: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """Each run's mean cross-entropy ``(K,)`` of logits ``(K, B, classes)`` and labels ``(K, B)``.

    With ``class_weights`` ``(classes,)`` it is the mean weighted by the samples' classes.
    """
    losses = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), class_weights, reduction="none").view(labels.shape)
    return losses.mean(1) if class_weights is None else losses.sum(1) / class_weights[labels].sum(1)


def _weight_bounds(configs: Sequence[RunConfig], device: torch.device) -> Tensor | None:
    """Each run's bound on its weights ``(K,)``, infinite where they are free; None if all are."""
    bounds = [config.training.weight_clamp or float("inf") for config in configs]
    return None if min(bounds) == float("inf") else torch.tensor(bounds, device=device)


@torch.no_grad()
def _clamp_weights(pack: Pack, bounds: Tensor | None) -> None:
    """Clamp conv and linear weights to [-bound, bound], as after every optimizer step (Walking Noise, section 4)."""
    if bounds is None:
        return
    for weight in pack.weights().values():
        bound = bounds.view(-1, *(1,) * (weight.dim() - 1))
        weight.clamp_(-bound, bound)
