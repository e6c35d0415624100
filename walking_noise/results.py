"""What a run ends with."""

from __future__ import annotations

import math
import traceback
from dataclasses import asdict, dataclass
from typing import Any

from walking_noise.config import RunConfig
from walking_noise.data import DataSet
from walking_noise.errors import WalkingNoiseError
from walking_noise.evaluation import Evaluation
from walking_noise.trainee import LAST_EPOCHS, Trained


@dataclass(frozen=True)
class Result:
    """A finished run.

    Attributes
    ----------
    accuracy
        Mean of ``last_accuracies``, in [0, 1].
    last_accuracies
        Validation accuracy after each of the last five epochs; for noise at inference only, of one pass at the end.
    validation_curve
        Validation accuracy after every epoch, where the run asked for it.
    training_loss
        Mean cross-entropy of every epoch; None where it was not finite.
    mean_abs_weight
        Mean absolute weight of each conv and linear layer after training; None where it is not finite.
    outcome
        ``trained``; ``overflow``: float32 could not hold the logits of finite weights; ``diverged``: the weights
        themselves are not finite. The latter two are results, with the accuracy they had.
    overflow_epoch, diverged_epoch
        The first such epoch, 1 being the first of the training.
    nonfinite
        Share of validation samples with logits that are not finite, in the last pass.
    floor
        Validation accuracy of the constant answer.
    points
        Names of the noise points, in the order of their numbers.
    network
        Name of the network's file in the folder of networks, where the run asked to keep it.
    audit
        Measured spread of the injected terms and of the signal per noise point, at ``inference`` and in ``training``.
    seconds
        This run's share of the time its pack took.
    pack_size
        Networks trained together with it.
    """

    accuracy: float
    last_accuracies: list[float]
    validation_curve: list[float] | None
    training_loss: list[float | None]
    mean_abs_weight: dict[str, float | None]
    outcome: str
    overflow_epoch: int | None
    diverged_epoch: int | None
    nonfinite: float
    floor: float
    points: list[str]
    network: str | None
    audit: dict[str, Any]
    epochs: int
    seconds: float
    pack_size: int
    device: str
    provenance: dict[str, str | None]

    def to_document(self) -> dict[str, Any]:
        """The result as plain values, without what is not there."""
        kept = asdict(self)
        return {
            name: value
            for name, value in kept.items()
            if value is not None or name not in ("validation_curve", "network")
        }


@dataclass(frozen=True)
class Failure:
    """A run that ended without a result: what went wrong in one line, and the traceback if there is one."""

    error: str
    trace: str = ""


Outcome = Result | Failure


def failure_of(error: Exception) -> Failure:
    """An error in one line, with its traceback if its text is not meant for the user."""
    if isinstance(error, WalkingNoiseError):
        return Failure(str(error))
    first, *_ = str(error).splitlines() or [""]
    return Failure(f"{type(error).__name__}: {first}", traceback.format_exc())


def result_of(
    config: RunConfig,
    trained: Trained,
    inference_only: Evaluation | None,
    data: DataSet,
    *,
    network: str | None,
    seconds: float,
    pack_size: int,
    device: str,
    provenance: dict[str, str | None],
) -> Result:
    """Put together a run's result; ``inference_only`` is its one pass if it has noise at inference only."""
    passes = [inference_only] if inference_only else trained.evaluations
    if not config.evaluation.curve:  # another run of the same network may have asked for its curve
        passes = passes[-LAST_EPOCHS:]
    last = [evaluation.accuracy for evaluation in passes[-LAST_EPOCHS:]]
    overflow_epoch = trained.overflow_epoch
    if overflow_epoch is None and trained.diverged_epoch is None:
        overflow_epoch = _first_overflow(passes, config.training.epochs)
    return Result(
        accuracy=sum(last) / len(last),
        last_accuracies=last,
        validation_curve=[evaluation.accuracy for evaluation in passes] if config.evaluation.curve else None,
        training_loss=[_finite(loss) for loss in trained.training_loss],
        mean_abs_weight={name: _finite(weight) for name, weight in trained.mean_abs_weight.items()},
        outcome="overflow" if overflow_epoch else "diverged" if trained.diverged_epoch else "trained",
        overflow_epoch=overflow_epoch,
        diverged_epoch=trained.diverged_epoch,
        nonfinite=passes[-1].nonfinite,
        floor=data.floor,
        points=[point.name for point in config.points],
        network=network,
        audit={"inference": passes[-1].audit, "training": trained.training_audit},
        epochs=config.training.epochs,
        seconds=seconds,
        pack_size=pack_size,
        device=device,
        provenance=provenance,
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _first_overflow(passes: list[Evaluation], epochs: int) -> int | None:
    """The first epoch with logits that are not finite, of passes after the last ones out of ``epochs``."""
    first = epochs - len(passes) + 1
    return next((epoch for epoch, one in enumerate(passes, start=first) if one.nonfinite > 0), None)
