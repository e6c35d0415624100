"""Shells of a Slurm job that receive SIGTERM: `job_shell_setup.sh`, which BASH_ENV names."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.experiments.shell import ROOT

BASH_ENV = ROOT / "experiments" / "worker" / "job_shell_setup.sh"
WORKER = """
import pathlib, time
pathlib.Path("begun").touch()
while not pathlib.Path("give back").exists():
    time.sleep(0.01)
pathlib.Path("gave back").touch()
"""
STEP = f"{sys.executable} -c '{WORKER}' >> log 2>&1"
SCRIPT = f"trap 'touch notified' USR1\n({STEP}) & wait\ntouch ended"


def shell(script: str, folder: Path, **environment: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        ["bash", "-c", script], cwd=folder, env={**os.environ, "BASH_ENV": str(BASH_ENV)} | environment
    )
    until(folder / "begun")
    return process


def until(file: Path) -> None:
    end = time.monotonic() + 20
    while not file.exists():
        assert time.monotonic() < end, f"{file.name} does not exist"
        time.sleep(0.01)


def give_back(process: subprocess.Popen[bytes], folder: Path) -> int:
    """Let the worker end, and with it the shell; return the exit code of the shell."""
    (folder / "give back").touch()
    code = process.wait(20)
    assert (folder / "gave back").exists()
    return code


@pytest.mark.parametrize("script", [STEP, SCRIPT], ids=["step", "batch script"])
def test_in_a_job_a_terminated_shell_waits_for_its_worker(tmp_path: Path, script: str):
    process = shell(script, tmp_path, SLURM_JOB_ID="7")
    process.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.3)
    give_back(process, tmp_path)


def test_a_script_notified_of_the_time_limit_continues_after_its_worker(tmp_path: Path):
    process = shell(SCRIPT, tmp_path, SLURM_JOB_ID="7")
    process.send_signal(signal.SIGUSR1)
    until(tmp_path / "notified")
    assert not (tmp_path / "ended").exists()
    assert give_back(process, tmp_path) == 0
    assert (tmp_path / "ended").exists()


def test_a_script_without_a_worker_ends_at_once(tmp_path: Path):
    process = shell("touch begun; while true; do sleep 0.01; done; touch ended", tmp_path, SLURM_JOB_ID="7")
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 128 + signal.SIGTERM
    assert not (tmp_path / "ended").exists()


def test_outside_a_job_a_terminated_shell_ends_at_once(tmp_path: Path):
    process = shell(SCRIPT, tmp_path, SLURM_JOB_ID="")
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == -signal.SIGTERM
    (tmp_path / "give back").touch()
    until(tmp_path / "gave back")


@pytest.mark.parametrize(("job", "shared"), [("7", "1"), ("", "")])
def test_steps_of_a_job_share_its_resources(job: str, shared: str):
    environment = {**os.environ, "BASH_ENV": str(BASH_ENV), "SLURM_JOB_ID": job}
    command = ["bash", "-c", 'echo -n "$SLURM_OVERLAP"']
    assert subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout == shared
