"""Process groups, of which no process remains."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from experiments.submit import process_group
from experiments.submit.process_group import ProcessGroup


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


IGNORES_SIGTERM = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
)


@pytest.mark.parametrize("command", ["sleep 60", f'"{sys.executable}" -c "{IGNORES_SIGTERM}"'])
def test_no_process_remains(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(process_group, "TERMINATION_SECONDS", 0.5)
    children = tmp_path / "children"
    script = f'{command} & echo $! > "{children}.part"; mv "{children}.part" "{children}"; exit 7'
    with ProcessGroup(["sh", "-c", script], dict(os.environ), tmp_path / "log") as group:
        while not children.exists() or ("SIG_IGN" in command and "ready" not in group.tail()):
            time.sleep(0.01)
        child = int(children.read_text())
        assert running(child)
        group.process.wait()
    assert group.process.returncode == 7
    assert not running(child)


def test_the_end_of_the_log(tmp_path: Path):
    with ProcessGroup(["sh", "-c", "seq 100; echo last >&2"], dict(os.environ), tmp_path / "log") as group:
        group.process.wait()
    assert group.tail(2) == "100\nlast"
