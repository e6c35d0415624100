"""Member of a pack: the state of one run at the end of an epoch; and the trained network that results from it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from walking_noise.config.run_config import RunConfig
from walking_noise.evaluation.evaluator import Evaluation
from walking_noise.pack.stacking import MemberState

LAST_EPOCHS = 5
"""A run's accuracy is the mean over this number of last epochs (method of the released configurations)."""


@dataclass(frozen=True)
class TrainedNetwork:
    """A trained network, with the losses and accuracies of its training.

    The evaluations, with the run's own noise, are those after each of the last :data:`LAST_EPOCHS` epochs, or after
    every epoch if the run records its validation curve. For the epochs of overflow and divergence see
    :class:`walking_noise.training.divergence.DivergenceMonitor`.
    """

    state: dict[str, Tensor]  # parameters and buffers, by name, on the CPU; of a diverged run those at its divergence
    training_loss: list[float]  # mean cross-entropy of each epoch
    evaluations: list[Evaluation]
    mean_abs_weight: dict[str, float]  # of each conv and linear layer after training
    training_audit: dict[str, Any] | None  # of the first batch of every epoch; None without noise in training
    overflow_epoch: int | None
    diverged_epoch: int | None


@dataclass(eq=False)
class Member:
    """State of a run at the end of an epoch. A pack consists of members; a checkpoint contains one.

    ``state`` has all tensors on which the rest of the training depends, by name. It is empty before the first epoch. It
    is also empty while a trainer trains the member: then the tensors are part of the trainer's stacked state. For the
    losses and the evaluations see :class:`TrainedNetwork`.
    """

    config: RunConfig
    epoch: int = 0  # number of completed epochs
    training_loss: list[float] = field(default_factory=list)
    evaluations: list[Evaluation] = field(default_factory=list)
    state: MemberState = field(default_factory=dict)

    @property
    def epochs(self) -> int:
        """The number of epochs of the whole training."""
        return self.config.training.epochs

    @property
    def needs_evaluation(self) -> bool:
        """Whether the accuracy after the epoch just completed is part of the result."""
        is_last = self.config.evaluated_in_training and self.epoch > self.epochs - LAST_EPOCHS
        return self.config.evaluation.curve or is_last

    def add_epoch(self, loss: float) -> None:
        """Count a completed epoch and append its mean loss."""
        self.epoch += 1
        self.training_loss.append(loss)

    def snapshot(self) -> Member:
        """A copy that later epochs do not change. It shares the tensors of ``state``."""
        return replace(self, training_loss=[*self.training_loss], evaluations=[*self.evaluations])
