"""Information over the level, from the confusion matrices of real short runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from analysis.figures import information_curves
from analysis.figures.layout.style import style
from analysis.midpoints.from_python import frame_of
from analysis.midpoints.study import analyse
from tests.walking_noise.running import HERE
from walking_noise import RunConfig, train


def test_figure(tmp_path: Path) -> None:
    configs = [
        RunConfig.from_dict({
            "training.epochs": 3, "training.learning_rate": 3e-3, "model.hidden": hidden, "noise.in_training": trained,
            "noise.std": std, "seed": seed, "evaluation.confusion": confusion,
        })
        for hidden, confusion in (([64, 64, 64], True), ([74], True), ([20], False))
        for trained in (True, False) for std in (0.0, 1.0, 30.0) for seed in (0, 1)
    ]  # fmt: skip
    results = train(configs, **HERE)
    for config, result in zip(configs, results, strict=True):
        assert (result.confusion is not None) == config.evaluation.confusion
        if result.confusion is not None:
            matrix = np.array(result.confusion)
            assert matrix.sum() == 1000
            assert np.trace(matrix) / 1000 == result.last_accuracies[-1]
    with style():
        (plot,) = information_curves.draw(analyse(frame_of(configs, results)), tmp_path)
    numbers = pd.read_csv(tmp_path / f"{plot.name}.csv")
    assert set(numbers["network"]) == {"the model's own hidden layers", "hidden layers 74"}
    assert set(numbers["n"]) == {2}
    assert ((numbers["low"] <= numbers["information"]) & (numbers["information"] <= numbers["high"])).all()
    free, noisy = (numbers[numbers["level"] == level]["information"] for level in (0.0, 30.0))
    assert free.min() > 1.5
    assert noisy.max() < 0.5
