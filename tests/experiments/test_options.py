from __future__ import annotations

import pytest
import torch

from experiments.errors import UserError
from experiments.options import WorkerOptions


def test_nothing_given():
    assert WorkerOptions.from_environment({}) == WorkerOptions(None, None, None)
    assert WorkerOptions.from_environment({"WALKING_NOISE_PACK_SIZE": ""}) == WorkerOptions()


def test_all_given():
    environment = {"PACK_SIZE": "64", "DEVICE": "cpu", "NETWORKS": "/networks"}
    options = WorkerOptions.from_environment({f"WALKING_NOISE_{name}": value for name, value in environment.items()})
    assert options == WorkerOptions(64, torch.device("cpu"), "/networks")


@pytest.mark.parametrize(
    ("name", "value"),
    [("PACK_SIZE", "0"), ("PACK_SIZE", "-1"), ("PACK_SIZE", "x"), ("DEVICE", "tpx"), ("DEVICE", "cuda:99")],
)
def test_bad_values_are_refused(name: str, value: str):
    with pytest.raises(UserError, match=f"WALKING_NOISE_{name}: '{value}' is refused"):
        WorkerOptions.from_environment({f"WALKING_NOISE_{name}": value})
