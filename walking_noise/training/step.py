"""Training step of a pack: forward pass with noise, gradient, Adam."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from walking_noise.noise.audit import Audit
from walking_noise.noise.injection import Injection
from walking_noise.pack.pack import Pack
from walking_noise.training.adam.packed_adam import PackedAdam
from walking_noise.training.divergence import DivergenceMonitor


class TrainingStep:
    """One step of training for all members of a pack.

    A step never synchronises a GPU and changes tensors only in place, including its own index. So launching the same
    kernels again does the next step, and a CUDA graph can replay it.

    Attributes
    ----------
    index
        int64 ``(1,)``: the number of completed steps since the start of the runs.
    total
        ``(K,)``: the sum of each member's losses over the samples since it was last reset.
    """

    def __init__(
        self,
        pack: Pack,
        noise: Injection,
        optimizer: PackedAdam,
        divergence: DivergenceMonitor,
        class_weights: Tensor | None,
    ) -> None:
        self.pack, self.noise, self.optimizer, self.divergence = pack, noise, optimizer, divergence
        self.class_weights = class_weights
        parameter = optimizer.parameters[0]
        self.index = torch.zeros(1, dtype=torch.int64, device=parameter.device)
        self.total = torch.zeros(len(parameter), device=parameter.device)

    def __call__(self, x: Tensor, y: Tensor, audit: Audit | None = None) -> None:
        """Train on inputs ``(rows, B, …)``, at most K rows, and labels ``(K, B)``. ``audit`` measures the noise."""
        logits = self.pack(x, self.noise.at_step(self.index, audit))
        losses = cross_entropy(logits, y, self.class_weights)
        self.divergence.after_loss(losses.detach(), self.optimizer)
        gradients = torch.autograd.grad(losses.sum(), self.optimizer.parameters, allow_unused=True)
        self.optimizer.step(gradients, self.index)
        self.total += losses.detach() * y.shape[1]
        self.index += 1


def cross_entropy(logits: Tensor, labels: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """Each run's mean cross-entropy ``(K,)`` of logits ``(K, B, classes)`` and labels ``(K, B)``.

    With ``class_weights`` ``(classes,)``, each sample is weighted by the weight of its class.
    """
    losses = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), class_weights, reduction="none").view(labels.shape)
    return losses.mean(1) if class_weights is None else losses.sum(1) / class_weights[labels].sum(1)
