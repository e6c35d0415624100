"""Control group of a process: its number of processes killed for memory. Imports the standard library only."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")
"""The control groups of this process: lines ``NUMBER:CONTROLLERS:PATH``, of version 2 without controllers."""


def killed_for_memory() -> int | None:
    """Number of processes of this control group that the kernel has killed for memory; None if it does not count them.

    Slurm limits the memory of a task by a control group if its administrators have set ``ConstrainRAMSpace``.
    """
    try:
        lines = [line.split(":", 2) for line in OWN.read_text().splitlines()]
        for _, controllers, path in lines:
            if "memory" in controllers.split(","):
                file = ROOT / "memory" / path.lstrip("/") / "memory.oom_control"
            elif not controllers:
                file = ROOT / path.lstrip("/") / "memory.events"
            else:
                continue
            if file.exists() and (count := re.search(r"^oom_kill (\d+)$", file.read_text(), re.MULTILINE)):
                return int(count[1])
    except (OSError, ValueError):
        pass
    return None
