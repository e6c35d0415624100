from __future__ import annotations

from pathlib import Path

import pytest
import torch

from experiments.database.connection import Document
from experiments.errors import UserError
from experiments.worker.worker_options import WorkerOptions, check_variables, exported


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
    assert options == WorkerOptions(
        pack_size=64,
        device=cpu,
        networks="/networks",
        state=Path("/state"),
        state_quota=20 * 2**30,
        checkpoint_seconds=60.0,
        lease_seconds=90.5,
        patience_seconds=120.0,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PACK_SIZE", "0"),
        ("PACK_SIZE", "-1"),
        ("PACK_SIZE", "x"),
        ("PACK_SIZE", " 6"),
        ("PACK_SIZE", "6.5"),
        ("DEVICE", "tpx"),
        ("DEVICE", "cuda:99"),
        ("STATE_QUOTA", "20 GB"),
        ("CHECKPOINT_SECONDS", "0"),
        ("LEASE_SECONDS", "5m"),
        ("PATIENCE_SECONDS", "nan"),
        ("PATIENCE_SECONDS", "1e3"),
    ],
)
def test_invalid_values_are_refused(name: str, value: str):
    with pytest.raises(UserError, match=f"WALKING_NOISE_{name}: '{value}' is refused"):
        WorkerOptions.from_environment({f"WALKING_NOISE_{name}": value})


def test_a_message_gives_the_allowed_values():
    with pytest.raises(UserError) as refusal:
        WorkerOptions.from_environment({"WALKING_NOISE_STATE_QUOTA": "20 GB"})
    expected = "WALKING_NOISE_STATE_QUOTA: '20 GB' is refused; allowed: a number of bytes, for example 500M or 20G"
    assert str(refusal.value) == expected


def test_other_variables_are_ignored():
    environment = {"WALKING_NOISE_DATA": "/data", "pack_size": "3", "HOME": "/"}
    assert WorkerOptions.from_environment(environment) == WorkerOptions()


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("PACKSIZE", "3", "there is no such option; did you mean WALKING_NOISE_PACK_SIZE"),
        ("NOTHING", "1", "there is no such option; there are WALKING_NOISE_PACK_SIZE, WALKING_NOISE_DEVICE, "),
        ("PACK_SIZE", "cuda", "'cuda' is refused"),
        ("DEVICE", "gpu", "'gpu' is refused"),
    ],
)
def test_variables_that_make_jobs_fail_or_are_not_read(name: str, value: str, reason: str):
    with pytest.raises(UserError, match=f"WALKING_NOISE_{name}: {reason}"):
        check_variables({f"WALKING_NOISE_{name}": value})


def test_variables_of_jobs_that_are_valid_elsewhere_or_passed_on_purpose():
    check_variables({"WALKING_NOISE_DEVICE": "cuda:7", "WALKING_NOISE_DATA": "/d", "WALKING_NOISE_OTHER": "", "A": "1"})
    check_variables({"WALKING_NOISE_MINE": "1"}, ["WALKING_NOISE_MINE"])
    check_variables({"WALKING_NOISE_MINE": "1", "WALKING_NOISE_KEEP": "WALKING_NOISE_MINE"})


def test_variables_that_sbatch_exports():
    options: list[Document] = [{"sbatch_options": {"export": "ALL,A=1,B=x=y"}}, {"sbatch_options": {}}, {}]
    assert exported(options) == {"A": "1", "B": "x=y"}
