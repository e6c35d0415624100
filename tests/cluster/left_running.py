"""Processes of a private cluster, identified by the variable SLURM_CONF in their environment."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Process:
    pid: int
    parent: int
    command: str
    environment: dict[str, str]

    def kill(self, signum: int = signal.SIGKILL) -> bool:
        """Send a signal; return False if the process has ended."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signum)
            return True
        return False


def processes_with(slurm_conf: Path) -> list[Process]:
    """The live processes that were started with this SLURM_CONF, without zombies."""
    return [
        process
        for path in Path("/proc").glob("[0-9]*")
        if (process := _read(path)) and process.environment.get("SLURM_CONF") == str(slurm_conf)
    ]


def end_all_with(slurm_conf: Path, seconds: float = 20.0) -> list[Process]:
    """Kill all live processes of a cluster; return them."""
    killed: dict[int, Process] = {}
    deadline = time.monotonic() + seconds
    while processes := processes_with(slurm_conf):
        assert time.monotonic() < deadline, f"processes do not end: {processes}"
        killed |= {process.pid: process for process in processes if process.kill()}
        time.sleep(0.05)
    return list(killed.values())


def _read(path: Path) -> Process | None:
    """Read a process from its folder in /proc; None if it has ended or belongs to another user."""
    try:
        state, parent, *_ = (path / "stat").read_text().rpartition(")")[2].split()
        command = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        environment = dict(_variables((path / "environ").read_bytes()))
    except OSError:
        return None
    return None if state in "ZX" else Process(int(path.name), int(parent), command, environment)


def _variables(environ: bytes) -> Iterator[tuple[str, str]]:
    for entry in environ.split(b"\0"):
        name, equals, value = entry.decode(errors="replace").partition("=")
        if equals:
            yield name, value
