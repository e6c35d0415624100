"""The training step."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from walking_noise.health import Health
from walking_noise.noise.audit import Audit
from walking_noise.noise.injection import Injection
from walking_noise.optimizer import PackedAdam
from walking_noise.pack import Pack


class Step:
    """One step of training for all members of a pack.

    It never waits for a GPU. All that it changes stands in tensors that stay where they are, its own place in the runs
    included: the same work done again is the next step, so that a GPU can replay it.

    Attributes
    ----------
    place
        int64 (1,): the steps done before, counted from the start of the runs.
    total
        ``(K,)``: the sum of each member's losses over the samples since it was last set to 0.
    """

    def __init__(
        self, pack: Pack, noise: Injection, optimizer: PackedAdam, health: Health, class_weights: Tensor | None
    ) -> None:
        self.pack, self.noise, self.optimizer, self.health = pack, noise, optimizer, health
        self.class_weights = class_weights
        parameter = optimizer.parameters[0]
        self.place = torch.zeros(1, dtype=torch.int64, device=parameter.device)
        self.total = torch.zeros(len(parameter), device=parameter.device)

    def __call__(self, x: Tensor, y: Tensor, audit: Audit | None = None) -> None:
        """Train on inputs ``(K or fewer rows, B, …)`` and labels ``(K, B)``; ``audit`` measures what is injected."""
        logits = self.pack(x, self.noise.at_place(self.place, audit))
        losses = cross_entropy(logits, y, self.class_weights)
        self.health.after_loss(losses.detach(), self.optimizer)
        self.optimizer.step(torch.autograd.grad(losses.sum(), self.optimizer.parameters, allow_unused=True))
        self.total += losses.detach() * y.shape[1]
        self.place += 1


def cross_entropy(logits: Tensor, labels: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """Each run's mean cross-entropy ``(K,)`` of logits ``(K, B, classes)`` and labels ``(K, B)``.

    With ``class_weights`` ``(classes,)`` it is the mean weighted by the samples' classes.
    """
    losses = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), class_weights, reduction="none").view(labels.shape)
    return losses.mean(1) if class_weights is None else losses.sum(1) / class_weights[labels].sum(1)
