"""Sentences of the first screen: noise-free accuracy, and coarse levels beside the certainty of the weakest point."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from analysis.report.overview import overview
from analysis.report.rankings import rankings_of
from tests.analysis.conftest import FakeStudy

COARSE = [10.0**step for step in range(-2, 4)]
FINE = [10 ** (step / 16) for step in range(-32, 49)]
MLP = {"model.name": "mlp", "noise.in_training": False}


def walk(study: FakeStudy, levels: list[float], **more: Any) -> FakeStudy:
    for point, mu in ((0, 0.2), (1, 2.0), (2, 3.0)):
        study.series({**MLP, "noise.point": point}, mu, levels, sigma=0.2, **more)
    return study


def noise_free(study: FakeStudy) -> dict[str, list[float]]:
    """Noise-free accuracies in %, by the text before them."""
    found = overview(study.analyse()).measured.partition(" Noise-free accuracy: ")[2].removesuffix(".")
    by_network = [re.fullmatch(r"(.*?)([\d.]+)(?: to ([\d.]+))? %", text) for text in found.split("; ")]
    return {each[1]: [float(end) for end in each.groups()[1:] if end] for each in by_network if each}


@pytest.mark.parametrize(("levels", "coarse"), [(COARSE, True), (FINE, False)])
def test_coarse_levels_are_named_beside_the_certainty(
    fake_study: Callable[..., FakeStudy], levels: list[float], coarse: bool
):
    (ranking,) = rankings_of(walk(fake_study("mine"), levels).analyse())
    assert "With 95 % certainty it is the weakest of 3 points." in ranking.sentences[0]
    advice = (
        " That speaks of training seeds only: the levels are too coarse at 3 of 3 points; "
        "`walking-noise refine mine --width 0.1` plans finer ones."
    )
    assert ranking.sentences[0].endswith(advice) == coarse
    assert ("coarse" in ranking.sentences[0]) == coarse


def test_the_noise_free_accuracy_is_on_the_first_screen(fake_study: Callable[..., FakeStudy]):
    study = walk(fake_study(), FINE, a_max=0.9)
    assert noise_free(study) == {"": pytest.approx([90, 90], abs=1)}
    study.series({**MLP, "model.name": "lenet5", "noise.point": 1}, 2.0, FINE, a_max=0.5)
    expected = {"LeNet-5 ": pytest.approx([50], abs=1), "MLP ": pytest.approx([90, 90], abs=1)}
    assert noise_free(study) == expected
