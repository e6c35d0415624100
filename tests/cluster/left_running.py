"""The processes of a private cluster, known by the SLURM_CONF in their environment, which is a file of its folder."""

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
        """Send a signal; whether there was still someone to receive it."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signum)
            return True
        return False


def processes_with(slurm_conf: Path) -> list[Process]:
    """The processes that were started with this SLURM_CONF and live; zombies do not."""
    return [
        process
        for path in Path("/proc").glob("[0-9]*")
        if (process := _read(path)) and process.environment.get("SLURM_CONF") == str(slurm_conf)
    ]


def end_all_with(slurm_conf: Path, seconds: float = 20.0) -> list[Process]:
    """Kill what still lives of a cluster; what was found."""
    found: dict[int, Process] = {}
    end = time.monotonic() + seconds
    while left := processes_with(slurm_conf):
        assert time.monotonic() < end, f"do not end: {left}"
        found |= {process.pid: process for process in left if process.kill()}
        time.sleep(0.05)
    return list(found.values())


def _read(path: Path) -> Process | None:
    """None for a process that has ended, or that is none of this user's."""
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
