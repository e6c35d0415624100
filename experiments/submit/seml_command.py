"""Execution of ``seml`` commands as a user would type them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from experiments.submit.environment import warning_filters

SEML = [sys.executable, str(Path(sys.executable).parent / "seml")]
"""The command. Executed by itself, a script below a path with a space is first one of a shell, which sets ``PWD``, and
SEML would store this variable."""


def run(arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> int:
    """Run ``seml`` and return its exit code; its output goes to the output of this process.

    Ctrl-C reaches both processes. This function waits until SEML has ended and then raises KeyboardInterrupt.
    """
    interrupted = False
    process = subprocess.Popen(
        [*SEML, *arguments], env=_with_warning_filter(os.environ if environment is None else environment)
    )
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
    """Replace this process by ``seml``, which then receives the signals and determines the exit code."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(SEML[0], [*SEML, *arguments], _with_warning_filter(os.environ))


def _with_warning_filter(environment: Mapping[str, str]) -> dict[str, str]:
    return {**environment, "PYTHONWARNINGS": warning_filters(environment)}
