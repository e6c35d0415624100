"""Fake documents of runs in the form of the database, with results that follow known curves."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from scipy.special import expit

from analysis.figures.layout import style
from analysis.midpoints.study import Study, analyse
from analysis.runs.documents import Document, Source, save, to_json_value
from analysis.runs.run_frame import to_frame
from walking_noise import Result, RunConfig

FLOOR = 0.1135
PROVENANCE = {
    "version": "0.1.0", "commit": "0123456789abcdef0123456789abcdef01234567", "data_checksum": "fedcba9876543210",
    "torch": "2.11.0", "cuda": None, "device": "A processor",
}  # fmt: skip

ADDITIVE = (0.0, *(10 ** (step / 3) for step in range(-6, 7)))
MULTIPLICATIVE = tuple(0.2 * step for step in range(11))
WALKING = tuple(10.0**step for step in range(-2, 11))


def weights_of(config: RunConfig) -> dict[str, float | None]:
    """Mean absolute weight of each conv and linear layer. Free weights grow with the level at the point after them."""
    free = config.training.weight_clamp is None
    return {
        point.name: 0.05 * (1 + level.add + level.mul if free else 1) * (1 + 0.01 * config.seed)
        for point, level in zip(config.points, config.levels, strict=True)
        if point.name.startswith(("conv", "fc"))
    }


class FakeStudy:
    """Documents of one collection, with ids from 1."""

    def __init__(self, collection: str = "demo") -> None:
        self.collection = collection
        self.documents: list[Document] = []

    def add(self, settings: dict[str, Any], status: str = "COMPLETED", **fields: Any) -> Document:
        """Add a document; ``fields`` are added or replace others."""
        start = datetime(2024, 5, 1, 12) + timedelta(seconds=len(self.documents))
        document = {
            "collection": self.collection, "_id": len(self.documents) + 1, "status": status, "batch_id": 1,
            "config": {**RunConfig.from_dict(settings).to_dict(), "overwrite": 1, "db_collection": self.collection},
            "start_time": start, "stop_time": start + timedelta(seconds=9), **fields,
        }  # fmt: skip
        self.documents.append(document)
        return document

    def complete(self, settings: dict[str, Any], accuracy: float, **fields: Any) -> Document:
        """Add a completed run; ``fields`` of its result are added or replace others."""
        config = RunConfig.from_dict(settings)
        result = {
            "accuracy": accuracy, "last_accuracies": [accuracy] * 5, "training_loss": [2.3, 0.4],
            "mean_abs_weight": weights_of(config), "outcome": "trained", "diverged_epoch": None, "overflow_epoch": None,
            "nonfinite": 0.0, "floor": FLOOR, "points": [point.to_document() for point in config.points],
            "audit": {"inference": {"signal": [1.0 + point.number for point in config.points]}, "training": None},
            "epochs": config.training.epochs, "seconds": 3.25, "pack_size": 8, "device": "cpu",
            "provenance": PROVENANCE, **fields,
        }  # fmt: skip
        return self.add(settings, result=result)

    def series(
        self, settings: dict[str, Any], mu: float, levels: Sequence[float], repetitions: int = 3, *,
        sigma: float = 0.2, a_max: float = 0.95, a_min: float = FLOOR, between: float = 0.02, curve: bool = False,
    ) -> None:  # fmt: skip
        """Add the runs of a series with midpoint ``mu``; those of its repetitions scatter by ``between`` decades."""
        level_name = "noise.amplitude" if settings.get("noise.kind") == "mixed" else "noise.std"
        for seed in range(repetitions):
            draw = random.Random(f"{settings} {seed}")
            middle = math.log10(mu) + draw.gauss(0, between)
            for level in levels:
                height = 1.0 if level == 0 else float(expit((middle - math.log10(level)) / sigma))
                accuracy = a_min + (a_max - a_min) * height + draw.gauss(0, 0.004)
                rising = [FLOOR + (accuracy - FLOOR) * (1 - 0.75**epoch) for epoch in range(1, 21)]
                fields = {"validation_curve": rising} if curve else {}
                self.complete({**settings, level_name: level, "seed": seed}, min(max(accuracy, 0.0), 1.0), **fields)

    def keep_quantities_of(self, point: int) -> None:
        """Remove the quantities of each noise point from the results of runs whose noise is not at ``point``.

        Figures have a panel for each noise point of each series with these quantities, which takes most of their time.
        """
        for document in self.documents:
            if "result" in document and document["config"]["noise"]["point"] != point:
                document["result"].update(audit=None, mean_abs_weight=None)

    def __iter__(self) -> Iterator[Document]:
        return iter(self.documents)

    def source(self) -> Source:
        """The source that reading the database returns."""
        documents = [{name: to_json_value(value) for name, value in document.items()} for document in self.documents]
        return Source.of({self.collection: len(documents)}, documents)

    def save(self, path: Path) -> Path:
        """Write the documents to a file of runs."""
        for _ in save(self.source(), path).documents:
            pass
        return path

    def completed(self) -> tuple[list[RunConfig], list[Result]]:
        """Settings and results of the completed runs, as training from Python has them."""
        configs, results = [], []
        for document in self:
            if document["status"] == "COMPLETED":
                config = RunConfig.from_document(document["config"])
                fields = {"validation_curve": None, "network": None, **document["result"]}
                configs.append(config)
                results.append(Result(**{**fields, "points": list(config.points)}))
        return configs, results

    def analyse(self) -> Study:
        """Study of these documents."""
        return analyse(to_frame(self.source().documents))


def add_global(study: FakeStudy, **shared: Any) -> None:
    """Additive and multiplicative noise at all points, without and with BatchNorm, with the paper's midpoints."""
    for batch_norm, additive, multiplicative in ((False, 1.69, 0.942), (True, 1.57, 0.952)):
        settings = {**shared, "model.batch_norm": batch_norm, "noise.on_batch_norm": not batch_norm}
        study.series({**settings, "evaluation.curve": True}, additive, ADDITIVE, curve=True)
        study.series({**settings, "noise.kind": "multiplicative"}, multiplicative, MULTIPLICATIVE, sigma=0.06)


def add_walking(study: FakeStudy, points: Iterable[int] = range(11)) -> None:
    """Additive noise at points of the 11 of the MLP with BatchNorm, inference only and trained with noise.

    Trained with noise, point 3 never falls, point 7 has its midpoint beyond the levels, and the last four fall to 0.6.
    """
    for point in points:
        settings = {"model.batch_norm": True, "noise.point": point}
        mu = 0.8 * 10 ** (0.35 * (point % 4))
        study.series({**settings, "noise.in_training": False}, mu, WALKING)
        trained = {3: (1.0, 0.95), 7: (5e10, FLOOR)}.get(point, (20 * mu, FLOOR if point < 7 else 0.6))
        study.series(settings, trained[0], WALKING, sigma=0.35, between=0.08, a_min=trained[1])


def add_odd_ones(study: FakeStudy) -> None:
    """Add runs to the first series that failed, wait, overflowed, diverged, equal another run, or have no level."""
    study.complete({"noise.std": 0.0, "seed": 0}, 0.95)
    study.complete({"noise.std": 1e3, "seed": 1}, FLOOR, outcome="diverged", diverged_epoch=3, nonfinite=1.0)
    study.complete({"noise.std": 1e4, "seed": 1}, 0.098, outcome="overflow", overflow_epoch=1, nonfinite=1.0)
    trace = ["Traceback (most recent call last):\n", "RuntimeError: out of <memory>\n"]
    for level in (0.5, 0.6):
        study.add({"noise.std": level, "seed": 7}, "FAILED", fail_trace=trace)
    study.add({"noise.std": 0.7, "seed": 7}, "KILLED")
    study.add({"noise.std": 0.8, "seed": 7}, "PENDING")
    study.add({"noise.std": 0.9, "seed": 7}, "RUNNING")
    study.complete({"noise.kind": "none", "seed": 1}, 0.96)


@pytest.fixture
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose figures, but neither lay them out nor write them as pictures, which takes most of their time."""
    monkeypatch.setattr(ConstrainedLayoutEngine, "execute", lambda *_: None)
    monkeypatch.setattr(Figure, "savefig", lambda *_, **options: None)
    monkeypatch.setattr(style, "write_png", lambda *_: None)


@pytest.fixture
def fake_study() -> type[FakeStudy]:
    return FakeStudy


@pytest.fixture(scope="session")
def whole_study() -> FakeStudy:
    """A study with all kinds of runs: 4 global series, 22 series of walking noise, and odd runs."""
    study = FakeStudy()
    add_global(study)
    add_walking(study)
    add_odd_ones(study)
    return study


@pytest.fixture(scope="session")
def whole_analysis(whole_study: FakeStudy) -> Study:
    """The analysis of the whole study."""
    return whole_study.analyse()


@pytest.fixture(scope="session")
def paper_study() -> Study:
    """The four cells of Table I for the MLP on MNIST, with the paper's epochs, five repetitions and midpoints."""
    study = FakeStudy("table1")
    add_global(study, **{"data.name": "mnist", "training.epochs": 100})
    return study.analyse()
