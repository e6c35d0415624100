from __future__ import annotations

from pathlib import Path

import pytest
import torch

from experiments.errors import UserError
from experiments.worker.worker_options import WorkerOptions


def test_defaults():
    assert WorkerOptions.from_environment({}) == WorkerOptions()
    assert WorkerOptions.from_environment({"WALKING_NOISE_PACK_SIZE": ""}) == WorkerOptions()


def test_all_options():
    environment = {
        "PACK_SIZE": "64",
        "DEVICE": "cpu",
        "NETWORKS": "/networks",
        "STATE": "/state",
        "STATE_QUOTA": "20G",
        "CHECKPOINT_SECONDS": "60",
        "LEASE_SECONDS": "90.5",
        "PATIENCE_SECONDS": "120",
    }
    options = WorkerOptions.from_environment({f"WALKING_NOISE_{name}": value for name, value in environment.items()})
    cpu = torch.device("cpu")
    assert options == WorkerOptions(64, cpu, "/networks", Path("/state"), 20 * 2**30, 60.0, 90.5, 120.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PACK_SIZE", "0"),
        ("PACK_SIZE", "-1"),
        ("PACK_SIZE", "x"),
        ("DEVICE", "tpx"),
        ("DEVICE", "cuda:99"),
        ("STATE_QUOTA", "20 GB"),
        ("CHECKPOINT_SECONDS", "0"),
        ("LEASE_SECONDS", "5m"),
        ("PATIENCE_SECONDS", "nan"),
    ],
)
def test_invalid_values_are_refused(name: str, value: str):
    with pytest.raises(UserError, match=f"WALKING_NOISE_{name}: '{value}' is refused"):
        WorkerOptions.from_environment({f"WALKING_NOISE_{name}": value})
