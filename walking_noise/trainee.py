"""One run on its way through training."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from walking_noise.config import RunConfig
from walking_noise.evaluation import Evaluation
from walking_noise.stacks import State

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


@dataclass(eq=False)
class Trainee:
    """A run as it stands at the end of an epoch: what packs are put together from, and what a checkpoint holds.

    Attributes
    ----------
    epoch
        How many epochs it has done.
    training_loss, evaluations
        See :class:`Trained`.
    state
        All tensors that its further training depends on, by name; empty before its first epoch, and while it is in a
        pack, which has them.
    """

    config: RunConfig
    epoch: int = 0
    training_loss: list[float] = field(default_factory=list)
    evaluations: list[Evaluation] = field(default_factory=list)
    state: State = field(default_factory=dict)

    @property
    def epochs(self) -> int:
        """How many it will have done."""
        return self.config.training.epochs

    @property
    def is_scored(self) -> bool:
        """Whether its accuracy after the epoch just done is asked for."""
        return self.config.evaluation.curve or self.epoch > self.epochs - LAST_EPOCHS

    def ended_epoch(self, loss: float) -> None:
        """Count one more epoch, and its mean loss."""
        self.epoch += 1
        self.training_loss.append(loss)

    def as_it_stands(self) -> Trainee:
        """A copy that later epochs do not change, with the same tensors."""
        return replace(self, training_loss=[*self.training_loss], evaluations=[*self.evaluations])
