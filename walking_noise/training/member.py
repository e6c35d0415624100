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

    Attributes
    ----------
    state
        Parameters and buffers, by name, on the CPU. For a diverged run: the values at its divergence.
    training_loss
        Mean cross-entropy of each epoch.
    evaluations
        Evaluations with the run's own noise, after each of the last :data:`LAST_EPOCHS` epochs; after every epoch if
        the run records its validation curve.
    mean_abs_weight
        Mean absolute weight of each conv and linear layer after training.
    training_audit
        The measured spread of noise and signal in the first batch of every epoch; None without noise in training.
    overflow_epoch, diverged_epoch
        See :class:`walking_noise.training.divergence.DivergenceMonitor`.
    """

    state: dict[str, Tensor]
    training_loss: list[float]
    evaluations: list[Evaluation]
    mean_abs_weight: dict[str, float]
    training_audit: dict[str, Any] | None
    overflow_epoch: int | None
    diverged_epoch: int | None


@dataclass(eq=False)
class Member:
    """State of a run at the end of an epoch. A pack consists of members; a checkpoint contains one.

    Attributes
    ----------
    epoch
        The number of completed epochs.
    training_loss, evaluations
        See :class:`TrainedNetwork`.
    state
        All tensors on which the rest of the training depends, by name. Empty before the first epoch. Also empty while a
        trainer trains the member: then the tensors are part of the trainer's stacked state.
    """

    config: RunConfig
    epoch: int = 0
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
        return self.config.evaluation.curve or self.epoch > self.epochs - LAST_EPOCHS

    def add_epoch(self, loss: float) -> None:
        """Count a completed epoch and append its mean loss."""
        self.epoch += 1
        self.training_loss.append(loss)

    def snapshot(self) -> Member:
        """A copy that later epochs do not change. It shares the tensors of ``state``."""
        return replace(self, training_loss=[*self.training_loss], evaluations=[*self.evaluations])
