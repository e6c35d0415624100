"""Modules that a user of the library does not wait for."""

from __future__ import annotations

import subprocess
import sys

FIRST_CONFIG_AND_TRAINING = """
import sys
from walking_noise import RunConfig, train
RunConfig.from_dict({"model.name": "lenet5", "model.batch_norm": True})
print("torch._dynamo" in sys.modules)
train([RunConfig.from_dict({"noise.std": 1.0, "training.epochs": 1, "training.batch_size": 4000})])
print("torch._dynamo" in sys.modules)
"""


def test_torch_dynamo_is_not_imported() -> None:
    """It takes seconds, and asks for the name of the user, which a container may not have."""
    command = [sys.executable, "-c", FIRST_CONFIG_AND_TRAINING]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
