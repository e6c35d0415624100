"""Outcome of a run: its result, or its failure."""

from __future__ import annotations

import math
import traceback
from dataclasses import asdict, dataclass
from typing import Any

from walking_noise.config.run_config import RunConfig
from walking_noise.data import DataSet
from walking_noise.errors import WalkingNoiseError
from walking_noise.evaluation.evaluator import Evaluation
from walking_noise.models.point import Point
from walking_noise.training.member import LAST_EPOCHS, TrainedNetwork


@dataclass(frozen=True)
class Result:
    """A finished run.

    Attributes
    ----------
    accuracy
        Mean of ``last_accuracies``, in [0, 1].
    last_accuracies
        Validation accuracy after each of the last five epochs. With noise at inference only, or with a level in
        training of its own: the accuracy of the trained network.
    validation_curve
        Validation accuracy after every epoch, with ``evaluation.curve``.
    training_loss
        Mean cross-entropy of every epoch; None where it is not finite.
    mean_abs_weight
        Mean absolute weight of each conv and linear layer after training; None where it is not finite.
    outcome
        ``trained``; ``overflow``: logits, losses or statistics exceeded float32 while the weights were finite;
        ``diverged``: the weights became non-finite without such an overflow. Both are results, too, with an accuracy.
    overflow_epoch, diverged_epoch
        The first epoch of overflow and of divergence; the training starts with epoch 1.
    nonfinite
        Fraction of validation samples with non-finite logits, in the last evaluation.
    floor
        Chance accuracy: the validation accuracy of the constant answer of the data set.
    points
        The noise points, each with its layer and the size of that layer.
    network
        File name in the folder of networks, with ``training.keep_network``.
    audit
        Measured standard deviations of the injected terms and of the signal at each noise point, at ``inference`` and
        in ``training``.
    seconds
        This run's share of the time of its pack.
    pack_size
        Number of networks in its pack.
    draw_accuracies
        The accuracy with each of several independent draws of the noise, with ``evaluation.noise_draws``.
    confusion
        Numbers of validation samples, by class and by answer, in the last evaluation, with ``evaluation.confusion``.
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
    points: list[Point]
    network: str | None
    audit: dict[str, Any]
    epochs: int
    seconds: float
    pack_size: int
    device: str
    provenance: dict[str, str | None]
    draw_accuracies: list[float] | None = None
    confusion: list[list[int]] | None = None

    def to_document(self) -> dict[str, Any]:
        """The result as plain values. What was not asked for is omitted."""
        fields = asdict(self) | {"points": [point.to_document() for point in self.points]}
        return {
            name: value
            for name, value in fields.items()
            if value is not None or name not in ("validation_curve", "network", "draw_accuracies", "confusion")
        }


@dataclass(frozen=True)
class Failure:
    """A run that ended without a result: the error in one line, and the traceback if there is one."""

    error: str
    trace: str = ""


Outcome = Result | Failure


def failure_of(error: Exception) -> Failure:
    """The failure of an exception. It has the traceback, unless the text of the exception is meant for the user."""
    if isinstance(error, WalkingNoiseError):
        return Failure(str(error))
    first, *_ = str(error).splitlines() or [""]
    return Failure(f"{type(error).__name__}: {first}", traceback.format_exc())


def result_of(
    config: RunConfig,
    network: TrainedNetwork,
    inference_only: Evaluation | None,
    data: DataSet,
    *,
    network_file: str | None,
    seconds: float,
    pack_size: int,
    device: str,
    provenance: dict[str, str | None],
) -> Result:
    """The result of a run. ``inference_only`` is its evaluation if the trained network is evaluated once."""
    evaluations = [inference_only] if inference_only else network.evaluations
    if not config.evaluation.curve:  # another run of the same network may record its curve
        evaluations = evaluations[-LAST_EPOCHS:]
    last = [evaluation.accuracy for evaluation in evaluations[-LAST_EPOCHS:]]
    overflow_epoch = network.overflow_epoch
    if overflow_epoch is None and network.diverged_epoch is None:
        overflow_epoch = _first_overflow(evaluations, config.training.epochs)
    return Result(
        accuracy=sum(last) / len(last),
        last_accuracies=last,
        validation_curve=[evaluation.accuracy for evaluation in evaluations] if config.evaluation.curve else None,
        training_loss=[_finite(loss) for loss in network.training_loss],
        mean_abs_weight={name: _finite(weight) for name, weight in network.mean_abs_weight.items()},
        outcome="overflow" if overflow_epoch else "diverged" if network.diverged_epoch else "trained",
        overflow_epoch=overflow_epoch,
        diverged_epoch=network.diverged_epoch,
        nonfinite=evaluations[-1].nonfinite,
        floor=data.chance_accuracy,
        points=list(config.points),
        network=network_file,
        audit={"inference": evaluations[-1].audit, "training": network.training_audit},
        epochs=config.training.epochs,
        seconds=seconds,
        pack_size=pack_size,
        device=device,
        provenance=provenance,
        draw_accuracies=list(evaluations[-1].draws) or None,
        confusion=_rows(evaluations[-1]) if config.evaluation.confusion else None,
    )


def _rows(evaluation: Evaluation) -> list[list[int]] | None:
    return None if evaluation.confusion is None else [list(row) for row in evaluation.confusion]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _first_overflow(evaluations: list[Evaluation], epochs: int) -> int | None:
    """The first epoch with non-finite logits. The evaluations are those after the last of all ``epochs``."""
    first = epochs - len(evaluations) + 1
    return next((epoch for epoch, one in enumerate(evaluations, start=first) if one.nonfinite > 0), None)
