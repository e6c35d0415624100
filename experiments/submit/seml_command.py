"""SEML's own commands, run as a user would type them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from experiments.submit.environment import QUIET

SEML = str(Path(sys.executable).parent / "seml")


def run(arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> int:
    """Run ``seml`` and return its exit code; what it prints goes where this process's output goes.

    Ctrl-C reaches both: SEML is left to come to its end, then KeyboardInterrupt is raised.
    """
    interrupted = False
    process = subprocess.Popen([SEML, *arguments], env=_quiet(os.environ if environment is None else environment))
    while True:
        try:
            code = process.wait()
        except KeyboardInterrupt:
            interrupted = True
            continue
        if interrupted:
            raise KeyboardInterrupt
        return code


def become(arguments: Sequence[str]) -> None:
    """Replace this process by ``seml``, so that signals and exit code are its own."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(SEML, [SEML, *arguments], _quiet(os.environ))


def _quiet(environment: Mapping[str, str]) -> dict[str, str]:
    return {"PYTHONWARNINGS": QUIET, **environment}
