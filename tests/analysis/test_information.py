"""Information of answers: closed forms, bias, coverage of the interval."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from analysis.information import information, mean_information


def symmetric(accuracy: float, samples: float = 1e12, classes: int = 10) -> Any:
    """Expected counts of a classifier that errs equally often for all classes, into all other classes."""
    matrix = np.full((classes, classes), (1 - accuracy) / (classes - 1))
    np.fill_diagonal(matrix, accuracy)
    return np.rint(matrix * samples / classes).astype(np.int64)


def test_a_symmetric_confusion_matrix() -> None:
    """``log2 C + a log2 a + (1 - a) log2((1 - a) / (C - 1))``: 0.737 bits for ten classes and accuracy 0.5."""
    assert float(information(symmetric(0.5))) == pytest.approx(0.737, abs=5e-4)
    closed = math.log2(10) + 0.8 * math.log2(0.8) + 0.2 * math.log2(0.2 / 9)
    assert float(information(symmetric(0.8))) == pytest.approx(closed, rel=1e-6)
    assert float(information(symmetric(1.0))) == pytest.approx(math.log2(10))


def test_a_constant_answer_carries_nothing() -> None:
    constant = np.zeros((10, 10), dtype=np.int64)
    constant[:, 3] = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert float(information(constant)) == 0.0
    estimate = mean_information([constant.tolist()])
    assert (estimate.value, estimate.low, estimate.high) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("accuracy", "samples"),
    [
        pytest.param(0.1, 2000, marks=pytest.mark.slow),
        (0.3, 1000),
        pytest.param(0.5, 1000, marks=pytest.mark.slow),
        pytest.param(0.9, 1000, marks=pytest.mark.slow),
    ],
)
def test_the_estimate_has_little_bias_and_its_interval_covers(accuracy: float, samples: int) -> None:
    """300 simulated validation sets; the plug-in estimate without the correction is several times as far off."""
    random, probabilities = np.random.default_rng(1), symmetric(accuracy).ravel() / symmetric(accuracy).sum()
    true = float(information(symmetric(accuracy)))
    values, inside, plug_in = [], 0, []
    for number in range(300):
        drawn = random.multinomial(samples, probabilities).reshape(10, 10)
        estimate = mean_information([drawn.tolist()], seed=number)
        assert estimate.low <= estimate.value <= estimate.high
        values.append(estimate.value)
        inside += estimate.low <= true <= estimate.high
        shares = drawn / samples
        terms = shares * np.log2(shares / shares.sum(0) / shares.sum(1, keepdims=True), where=drawn > 0, out=shares * 0)
        plug_in.append(terms.sum())
    assert abs(np.mean(values) - true) < 0.2 * (np.mean(plug_in) - true)
    assert inside / 300 > 0.9
