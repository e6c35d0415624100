"""Documents of runs that never ran: as the database holds them, with results that follow known curves."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from scipy.special import expit

from walking_noise import RunConfig

Document = dict[str, Any]

FLOOR = 0.1135
PROVENANCE = {
    "version": "0.1.0", "commit": "0123456789abcdef0123456789abcdef01234567", "data_checksum": "fedcba9876543210",
    "torch": "2.11.0", "cuda": None, "device": "A processor",
}  # fmt: skip


class FakeStudy:
    """Collects documents of one collection, with ids from 1."""

    def __init__(self, collection: str = "demo") -> None:
        self.collection = collection
        self.documents: list[Document] = []

    def add(self, settings: dict[str, Any], status: str = "COMPLETED", **more: Any) -> Document:
        """Add a document; ``more`` overrides or adds fields."""
        start = datetime(2024, 5, 1, 12) + timedelta(seconds=len(self.documents))
        document = {
            "collection": self.collection, "_id": len(self.documents) + 1, "status": status, "batch_id": 1,
            "config": {**RunConfig.from_dict(settings).to_dict(), "overwrite": 1, "db_collection": self.collection},
            "start_time": start, "stop_time": start + timedelta(seconds=9), **more,
        }  # fmt: skip
        self.documents.append(document)
        return document

    def complete(self, settings: dict[str, Any], accuracy: float, **more: Any) -> Document:
        """Add a completed run; ``more`` overrides fields of its result."""
        config = RunConfig.from_dict(settings)
        result = {
            "accuracy": accuracy, "last_accuracies": [accuracy] * 5, "training_loss": [2.3, 0.4],
            "mean_abs_weight": {"fc1": 0.05}, "outcome": "trained", "diverged_epoch": None, "overflow_epoch": None,
            "nonfinite": 0.0, "floor": FLOOR, "points": [point.name for point in config.points],
            "audit": {"inference": {"std_mul": [None], "std_add": [0.1], "signal": [1.0]}, "training": None},
            "epochs": config.training.epochs, "seconds": 3.25, "pack_size": 8, "device": "cpu",
            "provenance": PROVENANCE, **more,
        }  # fmt: skip
        return self.add(settings, result=result)

    def series(
        self, settings: dict[str, Any], mu: float, levels: Sequence[float], seeds: Sequence[int] = (0, 1, 2), *,
        sigma: float = 0.15, a_max: float = 0.95, a_min: float = FLOOR, jitter: float = 0.02, curve: bool = False,
    ) -> None:  # fmt: skip
        """Add the runs of a series with a known midpoint (in units of the level; ``sigma`` in decades)."""
        level_name = "noise.amplitude" if settings.get("noise.kind") == "mixed" else "noise.std"
        for seed in seeds:
            draw = random.Random(f"{sorted(settings.items())} {seed}")
            shift = draw.gauss(0, jitter)
            for level in levels:
                at = RunConfig.from_dict({**settings, level_name: max(level, 1e-12), "seed": seed})
                accuracy = falling(level, mu * 10**shift, sigma, a_max, a_min)
                accuracy = min(max(accuracy + draw.gauss(0, 0.3 * jitter * (accuracy > FLOOR + 0.01)), 0.0), 1.0)
                epochs = at.training.epochs
                learnt = [FLOOR + (accuracy - FLOOR) * (1 - 0.75**epoch) for epoch in range(1, epochs + 1)]
                self.complete({**settings, level_name: level, "seed": seed}, accuracy,
                              **({"validation_curve": learnt} if curve else {}))  # fmt: skip

    def __iter__(self) -> Iterator[Document]:
        return iter(self.documents)


def falling(level: float, mu: float, sigma: float, a_max: float, a_min: float) -> float:
    """The logistic in log10 of the level; the certain limit at level 0."""
    from math import log10

    return a_max if level == 0 else a_min + (a_max - a_min) * float(expit((log10(mu) - log10(level)) / sigma))


@pytest.fixture
def fake_study() -> type[FakeStudy]:
    return FakeStudy


def demo_study() -> FakeStudy:
    """Everything that a small study may hold."""
    study = FakeStudy()
    additive = [0.0, *(10 ** (exponent / 4) for exponent in range(-8, 9))]
    multiplicative = [0.1 * step for step in range(21)]
    for batch_norm in (False, True):
        model = {"model.batch_norm": batch_norm, "noise.on_batch_norm": not batch_norm}
        study.series({**model, "evaluation.curve": True}, 1.69 - 0.12 * batch_norm, additive, curve=True)
        study.series({**model, "noise.kind": "multiplicative"}, 0.94, multiplicative, sigma=0.08)
    wide = [10 ** (exponent / 2) for exponent in range(-4, 21)]
    for point in range(11):
        walking = {"model.batch_norm": True, "noise.point": point}
        mu = 0.8 * 10 ** (0.35 * (point % 4))
        study.series({**walking, "noise.in_training": False}, mu, wide)
        if point == 3:
            study.series(walking, 1.0, wide, a_min=0.93)
        elif point == 7:
            study.series(walking, 3e12, wide, a_min=0.5)
        else:
            study.series(walking, 6 * mu, wide, sigma=0.3, jitter=0.08, a_min=FLOOR if point < 6 else 0.6)
    return study


@pytest.fixture
def small_study() -> FakeStudy:
    """See :func:`demo_study`, and runs that failed, wait, overflowed, diverged or repeat others."""
    study = demo_study()
    again = {"noise.std": 0.0, "evaluation.curve": True}
    study.complete(again, 0.95)
    study.complete({"noise.std": 1e16}, 0.098, outcome="overflow", overflow_epoch=1, nonfinite=1.0)
    study.complete({"noise.std": 1e4}, FLOOR, outcome="diverged", diverged_epoch=3, nonfinite=1.0)
    study.add({"noise.std": 0.5, "seed": 7}, "FAILED", fail_trace=["Traceback …\n", "RuntimeError: out of memory\n"])
    study.add({"noise.std": 0.6, "seed": 7}, "FAILED", fail_trace=["Traceback …\n", "RuntimeError: out of memory\n"])
    study.add({"noise.std": 0.7, "seed": 7}, "KILLED")
    study.add({"noise.std": 0.8, "seed": 7}, "PENDING")
    study.add({"noise.std": 0.9, "seed": 7}, "RUNNING")
    study.complete({"noise.kind": "none", "seed": 1}, 0.96)
    return study
