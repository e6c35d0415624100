"""Triton's interpreter: checks of kernels on a CPU, in a new process as Triton requires."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType


def interpreted_checks(module: ModuleType) -> dict[str, str | None]:
    """Run a module that prints its checks as JSON; return the failure of each by name, None if it passed."""
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-m", module.__name__],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr
    failures: dict[str, str | None] = json.loads(finished.stdout)
    return failures
