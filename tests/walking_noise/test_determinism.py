"""Settings of torch that make results reproducible."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch

from walking_noise.reproducibility import deterministic

ROOT = Path(__file__).parents[2]


def settings() -> tuple[int, bool, bool]:
    return torch.get_num_threads(), torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic


def test_settings_are_made_and_restored() -> None:
    torch.set_num_threads(2)
    before = settings()
    with deterministic():
        assert settings() == (1, False, True)
    assert settings() == before
    torch.set_num_threads(1)


CHOICES = (
    "pass",
    "backends.cuda.matmul.allow_tf32 = True",
    "torch.set_float32_matmul_precision('medium')",
    "backends.cudnn.allow_tf32 = False",
    "backends.fp32_precision = 'tf32'",
    "backends.cudnn.fp32_precision = 'tf32'",
    "backends.cuda.matmul.fp32_precision = 'tf32'",
    "backends.cudnn.conv.fp32_precision = 'ieee'",
)


def test_float32_is_computed_in_float32_for_all_settings_of_the_caller() -> None:
    """Run in a new process for each choice, since some of torch's settings cannot be undone: forks of one process."""
    script = f"""
import os
import torch
from torch import backends
from walking_noise.reproducibility import deterministic

def read(setting):
    try:
        return setting()
    except RuntimeError:
        return "inconsistent settings"

def settings():
    older = [
        torch.get_float32_matmul_precision,
        lambda: backends.cuda.matmul.allow_tf32,
        lambda: backends.cudnn.allow_tf32,
        lambda: backends.fp32_precision,
    ]
    parts = [
        backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn,
        backends.mkldnn.matmul, backends.mkldnn.conv, backends.mkldnn.rnn,
    ]
    return [read(setting) for setting in older], [part.fp32_precision for part in parts]

def check(chosen):
    exec(chosen)
    before = settings()
    with deterministic():
        with deterministic():
            older, parts = settings()
            assert older[:3] == ["highest", False, False], older
            assert parts == ["ieee"] * 6, parts
        assert settings()[1] == ["ieee"] * 6
    assert settings() == before, (settings(), before)

for chosen in {CHOICES!r}:
    child = os.fork()
    if child == 0:
        check(chosen)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        raise SystemExit(f"failed with {{chosen}}")
"""
    finished = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
