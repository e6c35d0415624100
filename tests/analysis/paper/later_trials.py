"""Trials of the claims on noise on weights and on executions, for the tests of the ledger."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from analysis.midpoints.allocation import OPTIMUM, allocations, predicted_factor
from tests.analysis.walked import Walked

Build = Callable[[Walked], object]

ON_WEIGHTS: dict[str, Any] = {"noise__target": "weights", "noise__unit": "range", "noise__redraw": "chip"}
CLEAN: dict[str, Any] = {"noise__in_training": False}
BATCH: dict[str, Any] = {"noise__training_redraw": "batch"}
SOFT: dict[str, Any] = {"distillation__soft_label_share": 0.5, "distillation__initialise": True}
MU = [1.0, 2.0, 4.0, 8.0, 1.0, 2.0, 4.0, 8.0]
EVERYWHERE = 0.5
OPTIMAL = allocations(MU, 3)[OPTIMUM]


def trainings(**midpoints: float) -> Build:
    """Networks trained in different ways, at two levels in training, the second of which is worse."""
    settings: dict[str, dict[str, Any]] = {
        "clean": CLEAN, "noise": BATCH, "longer": {**BATCH, "training__epochs": 40}, "both": {**BATCH, **SOFT},
    }  # fmt: skip

    def build(walked: Walked) -> None:
        for name, mu in midpoints.items():
            for level, factor in ((0.05, 1.0), (0.2, 0.5)):
                trained = {} if name == "clean" else {"noise__training_std": level}
                if name != "clean" or level == 0.05:
                    walked.series(mu * factor, **{**ON_WEIGHTS, **settings[name], **trained})

    return build


def executed(accuracy: float, factor: float) -> Build:
    """Midpoints of a walk, and three executions on average: equal numbers and the optimum, which differ so."""

    def build(walked: Walked) -> None:
        walked.walk(MU, level=EVERYWHERE, **CLEAN)
        walked.series(EVERYWHERE, level=EVERYWHERE, **CLEAN)
        walked.series(1.0, accuracy=0.6, level=EVERYWHERE, noise__executions=3, **CLEAN)
        walked.series(factor, accuracy=accuracy, level=EVERYWHERE, noise__executions=list(OPTIMAL), **CLEAN)

    return build


PREDICTED = predicted_factor(MU, OPTIMAL)
LACKS = trainings(clean=0.1)


def without_optimum(walked: Walked) -> None:
    """Equal numbers only."""
    walked.walk(MU, level=EVERYWHERE, **CLEAN).series(EVERYWHERE, level=EVERYWHERE, **CLEAN)
    walked.series(1.0, level=EVERYWHERE, noise__executions=3, **CLEAN)


WEIGHT_TRIALS: list[tuple[Build, Build, Build]] = [
    (trainings(clean=0.1, noise=0.2), trainings(clean=0.2, noise=0.1), LACKS),
    (trainings(noise=0.1, longer=0.2, both=0.3), trainings(noise=0.1, longer=0.2, both=0.15), LACKS),
    (trainings(noise=0.1, both=0.2), trainings(noise=0.1, both=0.12), LACKS),
]
EXECUTION_TRIALS: list[tuple[Build, Build, Build]] = [
    (executed(0.7, PREDICTED), executed(0.5, PREDICTED), without_optimum),
    (executed(0.7, PREDICTED), executed(0.7, 2 * PREDICTED), without_optimum),
]
