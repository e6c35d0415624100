"""Queries to Slurm, with recorded output of its commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from seml.settings import SETTINGS

from experiments import slurm

QUEUE = """\
1|0|6|SUSPENDED
1|1|7|COMPLETING
1|2|8|RUNNING
1|3|1|CANCELLED
1|4|1|PENDING
2|98|2|PENDING
2|0|11|COMPLETED
2|7|12|OUT_OF_MEMORY
4|N/A|4|RUNNING
5|5|5|REQUEUE_HOLD
6|1|13|NODE_FAIL
6|2|14|A_STATE_OF_TOMORROW
"""
CONFIG = """\
Configuration data as of 2022-11-22T10:00:00
ClusterName             = attic
JobCredentialPrivateKey = (null)
MaxArraySize            = 4001
PrivateData             = none
"""
STATES = """\
squeue: error: Invalid job state specified: ?
squeue: error: Valid job states include: PENDING,RUNNING,SUSPENDED,COMPLETED,RESV_DEL_HOLD
"""

Program = Callable[[str, str], None]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Replace a Slurm command by a shell script; a command without a script fails, as if Slurm were not installed."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    for name in ("squeue", "scontrol"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 127\n")
        (tmp_path / name).chmod(0o755)

    def write(name: str, script: str) -> None:
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")

    return write


def printing(text: str) -> str:
    return f"cat <<'END'\n{text}END\n"


def test_tasks_that_have_not_ended_are_active(program: Program):
    program("squeue", printing(QUEUE))
    program("scontrol", printing(CONFIG))
    tasks = slurm.active_tasks()
    assert tasks is not None
    assert {task for array, task in tasks.tasks if array == 1} == {0, 1, 2, 4}
    assert {task for array, task in tasks.tasks if array == 2} & {0, 7, 98} == {98}
    assert tasks.arrays & {1, 2, 3, 5, 6} == {1, 2, 5, 6}
    assert (6, 1) not in tasks.tasks
    assert (6, 2) in tasks.tasks


def test_a_job_that_is_not_an_array_has_task_0_as_in_seml(program: Program):
    program("squeue", printing(QUEUE))
    program("scontrol", printing(CONFIG))
    tasks = slurm.active_tasks()
    assert tasks is not None
    assert (4, 0) in tasks.tasks
    assert (8, 0) in tasks.tasks  # SEML, started by hand in a task, only knows the job id of the task
    assert (5, 0) not in tasks.tasks


def test_the_tasks_of_all_users_are_queried(program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SQUEUE_USERS", "nobody")
    monkeypatch.setenv("SQUEUE_STATES", "FAILED")
    program("scontrol", printing(CONFIG))
    program("squeue", f'env > "{tmp_path}/env"; echo "$@" > "{tmp_path}/arguments"')
    assert slurm.active_tasks() == slurm.ActiveTasks(frozenset())
    assert "SQUEUE" not in (tmp_path / "env").read_text()
    assert {"--array", "--all", "--states=all"} < set((tmp_path / "arguments").read_text().split())


def test_no_answer_is_none_and_not_an_empty_set(program: Program):
    program("scontrol", printing(CONFIG))
    down = "echo 'slurm_load_jobs error: Unable to contact slurm controller (connect failure)' >&2; exit 1"
    program("squeue", down)
    assert slurm.active_tasks() is None
    program("squeue", printing(QUEUE))
    program("scontrol", down)
    assert slurm.active_tasks() is None
    assert slurm.max_array_size() is None
    assert slurm.cluster_name() is None


def test_a_timeout_is_none(program: Program, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(slurm, "TIMEOUT_SECONDS", 0.2)
    program("scontrol", printing(CONFIG))
    program("squeue", "exec sleep 60")
    assert slurm.active_tasks() is None
    assert slurm.known_states() is None


def test_hidden_jobs_of_other_users_are_none(program: Program):
    program("squeue", printing(QUEUE))
    program("scontrol", printing(CONFIG.replace("none", "accounts,jobs,usage")))
    assert slurm.active_tasks() is None


def test_without_slurm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert slurm.active_tasks() is None
    assert slurm.max_array_size() is None
    assert slurm.cluster_name() is None
    assert slurm.known_states() is None


def test_configuration(program: Program):
    program("scontrol", printing(CONFIG))
    assert slurm.max_array_size() == 4001
    assert slurm.cluster_name() == "attic"


def test_known_states(program: Program):
    program("squeue", f"exec >&2; {printing(STATES)}exit 1")
    states = slurm.known_states()
    assert states is not None
    assert set(states) == {"PENDING", "RUNNING", "SUSPENDED", "COMPLETED", "RESV_DEL_HOLD"}
    assert not set(SETTINGS.SLURM_STATES.ACTIVE) <= states
