"""Compact results: long training losses take fewer bytes and are read back unchanged."""

from __future__ import annotations

import math
from typing import Any

import bson
import numpy as np
import pytest

from experiments.database.connection import Runs
from experiments.worker.records.run_document import COMPACT_ABOVE_EPOCHS, compact
from tests.experiments.shell import Shell


def losses(epochs: int) -> list[float | None]:
    """Training losses in float32; the last one is not finite."""
    draw = np.random.default_rng(0)
    curve = 2.3 * np.exp(-np.arange(epochs) / 30) + 0.05 * draw.random(epochs)
    return [*curve.astype(np.float32).tolist()[:-1], None]


def test_short_curves_are_not_changed():
    result: dict[str, Any] = {"accuracy": 0.5, "training_loss": losses(COMPACT_ABOVE_EPOCHS)}
    assert compact(result) is result


def test_long_curves_are_read_as_arrays_without_loss(runs: Runs, shell: Shell):
    result = {"accuracy": 0.5, "training_loss": losses(300)}
    runs.insert_one({"_id": 1, "status": "COMPLETED", "config": {}, "result": compact(result)})
    script = (
        "import json, seml, sys\n"
        f"(run,) = seml.get_results('{runs.name}', progress=False)\n"
        "loss = run['result']['training_loss']\n"
        "print(type(loss).__name__, loss.dtype, json.dumps(loss.tolist()))"
    )
    kind, dtype, values = shell.run("python", "-c", script).strip().splitlines()[-1].split(" ", 2)
    assert (kind, dtype) == ("ndarray", "float32")
    read = [None if value == "NaN" else float(value) for value in values.strip("[]").split(", ")]
    assert read == result["training_loss"]


@pytest.mark.parametrize(("epochs", "share"), [(COMPACT_ABOVE_EPOCHS + 1, 0.7), (100, 0.6), (300, 0.45)])
def test_compact_results_are_smaller(epochs: int, share: float):
    result = {"training_loss": losses(epochs)}
    assert len(bson.encode(compact(result))) < share * len(bson.encode(result))


def test_the_argument_is_not_changed():
    result = {"training_loss": losses(100), "accuracy": math.pi}
    before = dict(result)
    compact(result)
    assert result == before
