"""Residual paths in the figures of midpoints: from the runs of a small network, and from a look at it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch

from analysis.figures import look as look_figure
from analysis.figures import midpoints_by_point
from analysis.figures.layout import residual_paths
from analysis.figures.layout.residual_paths import draw_paths, path_handles
from analysis.midpoints.study import Study
from analysis.midpoints.trained_network import look
from tests.analysis.conftest import FakeStudy
from tests.walking_noise import own_parts
from walking_noise import RunConfig, data, models, train
from walking_noise.models import Architecture

NAMES = ["0 input", "1 stem", "2 first", "3 second", "4 sum", "5 head"]


@pytest.fixture(scope="module")
def trained_study() -> Study:
    """Runs of a network with a residual path, trained and stored as those of a worker."""
    study = FakeStudy()
    shared: dict[str, Any] = {"model.name": f"{own_parts.__name__}:residual", "model.points": "products+residual"}
    shared |= {"training.epochs": 3, "training.learning_rate": 0.003, "noise.in_training": False}
    settings = [
        {**shared, "noise.point": point, "noise.std": std, "seed": seed}
        for seed in (0, 1)
        for point in range(len(NAMES))
        for std in (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0)
    ]
    results = train([RunConfig.from_dict(one) for one in settings], processes=1, device="cpu")
    for one, result in zip(settings, results, strict=True):
        study.add(one, result=result.to_document())
    analysed: Study = study.analyse()
    return analysed


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The axes on which residual paths are drawn."""
    found: list[Any] = []

    def draw(axes: Any, points: Any, along: Any) -> None:
        found.append(axes)
        draw_paths(axes, points, along)

    for module in (residual_paths, look_figure):
        monkeypatch.setattr(module, "draw_paths", draw)
    return found


def arcs(axes: Any, along: int) -> list[list[float]]:
    """First and last noise point of each arc."""
    ends = [np.array(patch.get_path().vertices)[[0, -1], along] for patch in axes.patches if type(patch) is PathPatch]
    return [list(each) for each in ends]


def test_the_figure_of_a_trained_network(trained_study: Study, drawn: list[Any], tmp_path: Path) -> None:
    assert midpoints_by_point.draw_others(trained_study, tmp_path) == []
    (plot,) = midpoints_by_point.draw_residual(trained_study, tmp_path)
    table = pd.read_csv(tmp_path / f"{plot.name}.csv")
    assert list(table["point"]) == NAMES
    assert (table["drawn_as"] == "filled").all()
    assert "residual paths, from the last noise point" in plot.caption
    (axes,) = drawn
    assert arcs(axes, 0) == [[1.0, 4.0]]
    legend = [text.get_text() for text in axes.figure.legends[0].get_texts()]
    assert legend == ["inference only", "residual path"]
    crosses = [list(line.get_xdata()) for line in axes.lines if line.get_marker() == "+"]
    assert [each for each in crosses if each] == [[4.0]]


def test_a_look_marks_the_sums(drawn: list[Any], tmp_path: Path) -> None:
    digits = data.load("mnist5k")
    torch.manual_seed(0)
    network = models.plain(Architecture(f"{own_parts.__name__}:residual", (1, 28, 28), 10, False))
    x = digits.transform.validation_inputs(digits.validation_samples[:300])
    table = look(network, [(x, network(x).argmax(1))], points="products+residual")
    assert list(table["point"]) == NAMES
    look_figure.draw_look(table, tmp_path / "look.png", "additive")
    (axes,) = drawn
    assert arcs(axes, 1) == [[1.0, 4.0]]
    (at_sums,) = [line.get_ydata() for line in axes.lines if line.get_marker() == "P"]
    assert list(at_sums) == [4]


def test_downsampling_blocks_are_dashed_and_every_second_block_is_shaded() -> None:
    axes, points = (
        Figure().subplots(),
        models.points(Architecture("resnet20", (3, 32, 32), 10, True, "products+residual")),
    )
    draw_paths(axes, points, "x")
    dashed = [patch.get_linestyle() != "-" for patch in axes.patches if type(patch) is PathPatch]
    assert [number for number, one in enumerate(dashed) if one] == [3, 6]
    assert len(axes.patches) == 9 + 5
    labels = [line.get_label() for line in path_handles(points)]
    assert labels == ["residual path", "residual path to another shape"]
    assert path_handles(models.points(Architecture("lenet5", (3, 32, 32), 10, True))) == []
