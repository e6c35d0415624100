"""Modules that a user of the library does not wait for."""

from __future__ import annotations

import subprocess
import sys

import pytest

FIRST_CONFIG = """
from walking_noise import RunConfig
RunConfig.from_dict({"model.name": "lenet5", "model.batch_norm": True})
"""
TRAINING = """
from walking_noise import RunConfig, train
train([RunConfig.from_dict({"noise.std": 1.0, "training.epochs": 1, "training.batch_size": 4000})])
"""
IS_IMPORTED = "\nimport sys; print('torch._dynamo' in sys.modules)"


@pytest.mark.parametrize("code", [FIRST_CONFIG, TRAINING], ids=["first config", "training"])
def test_torch_dynamo_is_not_imported(code: str) -> None:
    """It takes seconds, and asks for the name of the user, which a container may not have."""
    done = subprocess.run([sys.executable, "-c", code + IS_IMPORTED], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
