"""Runs file of a simulated study as large as the first paper's: 3,000 series of 22 levels and 3 repetitions.

    python -m tests.benchmarks.large_study FILE [--series N]

The documents have all fields of real ones. Their accuracies follow logistic falls with scatter.
"""

from __future__ import annotations

import argparse
import copy
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from analysis.runs.documents import Document, Source, save
from walking_noise import RunConfig

COLLECTION = "large"
LEVELS = (0.0, *(float(f"{level:.4g}") for level in np.geomspace(0.003, 300, 21)))
REPETITIONS = 3
SERIES = 3000
CHANCE, NOISE_FREE, WIDTH = 0.1, 0.95, 0.2
IMAGES = 10_000
"""Size of the validation set, in whose multiples accuracies are rounded."""

NETWORKS = (
    ("mnist", "mlp"), ("fashion_mnist", "mlp"), ("mnist", "lenet5"), ("fashion_mnist", "lenet5"), ("svhn", "lenet5"),
    ("cifar10", "lenet5"), ("gsc", "cnn_s"),
)  # fmt: skip


def series_settings() -> Iterator[dict[str, Any]]:
    """Settings of the series: every network under global and walking noise, for each kind of noise and training."""
    choices = itertools.product(
        (100, 200, 300), NETWORKS, (False, True), ("additive", "multiplicative"), (True, False), (None, 0.5)
    )
    for epochs, (data, model), batch_norm, kind, in_training, clamp in choices:
        settings = {
            "data.name": data, "model.name": model, "model.batch_norm": batch_norm, "noise.kind": kind,
            "noise.in_training": in_training, "training.epochs": epochs, "training.weight_clamp": clamp,
            "noise.std": 1.0,
        }  # fmt: skip
        points = RunConfig.from_dict(settings | {"noise.point": 0}).points
        for point in ("global", *range(len(points))):
            yield settings | {"noise.point": point}


def documents(series: int = SERIES) -> Iterator[Document]:
    """Completed runs of the first ``series`` series, at most 4,392."""
    random = np.random.default_rng(1)
    number = itertools.count(1)
    for settings in itertools.islice(series_settings(), series):
        config = RunConfig.from_dict(settings)
        document = config.to_dict()
        points = [point.to_document() for point in config.points]
        layers = [point.name for point in config.points if point.name.startswith(("conv", "fc"))]
        middle = random.uniform(-0.5, 1.5)
        for seed in range(REPETITIONS):
            shifted = middle + random.normal(0, 0.02)
            for level in LEVELS:
                left = expit((shifted - np.log10(level)) / WIDTH) if level else 1.0
                accuracy = CHANCE + (NOISE_FREE - CHANCE) * left + random.normal(0, 0.005)
                run = copy.deepcopy(document)
                run["noise"]["std"], run["seed"] = level, seed
                result = _result(round(float(accuracy) * IMAGES) / IMAGES, points, layers, level, config, random)
                yield {
                    "collection": COLLECTION, "_id": next(number), "status": "COMPLETED", "batch_id": 1,
                    "config": run, "start_time": "2026-01-01T00:00:00", "stop_time": "2026-01-01T00:01:00",
                    "result": result,
                }  # fmt: skip


def _result(
    accuracy: float, points: list[Any], layers: list[str], level: float, config: RunConfig, random: np.random.Generator
) -> dict[str, Any]:
    return {
        "accuracy": accuracy, "outcome": "trained", "diverged_epoch": None, "overflow_epoch": None, "nonfinite": 0.0,
        "floor": CHANCE, "epochs": config.training.epochs, "seconds": 3.25, "pack_size": 128, "device": "cpu",
        "points": points, "mean_abs_weight": {name: 0.05 * (1 + level) * random.uniform(0.9, 1.1) for name in layers},
        "audit": {"inference": {"signal": random.uniform(0.5, 1.5, len(points)).tolist()}},
        "provenance": {
            "version": "0.1.0", "commit": "0123456789abcdef0123456789abcdef01234567",
            "data_checksum": "fedcba9876543210", "torch": "2.11.0", "cuda": None, "device": "A processor",
        },
    }  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.large_study", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--series", type=int, default=SERIES)
    options = parser.parse_args(arguments)
    total = options.series * len(LEVELS) * REPETITIONS
    for _ in save(Source.of({COLLECTION: total}, documents(options.series)), options.file).documents:
        pass


if __name__ == "__main__":
    main()
