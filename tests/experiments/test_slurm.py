"""Answers of Slurm's programs, as recorded."""

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
    """Puts a shell script in the place of one of Slurm's programs; without any, there is no Slurm."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    for name in ("squeue", "scontrol"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 127\n")
        (tmp_path / name).chmod(0o755)

    def write(name: str, script: str) -> None:
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")

    return write


def printing(text: str) -> str:
    return f"cat <<'END'\n{text}END\n"


def test_what_has_not_ended_is_active(program: Program):
    program("squeue", printing(QUEUE))
    program("scontrol", printing(CONFIG))
    tasks = slurm.active_tasks()
    assert tasks is not None
    assert {task for array, task in tasks.tasks if array == 1} == {0, 1, 2, 4}
    assert {task: tasks.holds(2, task) for task in (0, 7, 98)} == {0: False, 7: False, 98: True}
    assert [array for array in (1, 2, 3, 5, 6) if tasks.holds_array(array)] == [1, 2, 5, 6]
    assert not tasks.holds(6, 1)
    assert tasks.holds(6, 2)


def test_a_job_that_is_no_array_has_task_0_as_seml_says(program: Program):
    program("squeue", printing(QUEUE))
    program("scontrol", printing(CONFIG))
    tasks = slurm.active_tasks()
    assert tasks is not None
    assert tasks.holds(4, 0)
    assert tasks.holds(8, 0)  # SEML, started in a task by hand, knows the task's own job id only
    assert not tasks.holds(5, 0)


def test_every_task_of_every_user_is_asked_for(program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SQUEUE_USERS", "nobody")
    monkeypatch.setenv("SQUEUE_STATES", "FAILED")
    program("scontrol", printing(CONFIG))
    program("squeue", f'env > "{tmp_path}/env"; echo "$@" > "{tmp_path}/arguments"')
    assert slurm.active_tasks() == slurm.ActiveTasks(frozenset())
    assert "SQUEUE" not in (tmp_path / "env").read_text()
    assert {"--array", "--all", "--states=all"} < set((tmp_path / "arguments").read_text().split())


def test_a_slurm_that_does_not_answer_is_not_taken_for_one_without_tasks(program: Program):
    program("scontrol", printing(CONFIG))
    down = "echo 'slurm_load_jobs error: Unable to contact slurm controller (connect failure)' >&2; exit 1"
    program("squeue", down)
    assert slurm.active_tasks() is None
    program("squeue", printing(QUEUE))
    program("scontrol", down)
    assert slurm.active_tasks() is None
    assert slurm.max_array_size() is None
    assert slurm.cluster_name() is None


def test_nor_is_one_that_takes_too_long(program: Program, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(slurm, "SECONDS_TO_ANSWER", 0.2)
    program("scontrol", printing(CONFIG))
    program("squeue", "exec sleep 60")
    assert slurm.active_tasks() is None
    assert slurm.states() is None


def test_nor_is_one_that_hides_the_jobs_of_others(program: Program):
    program("squeue", printing(QUEUE))
    program("scontrol", printing(CONFIG.replace("none", "accounts,jobs,usage")))
    assert slurm.active_tasks() is None


def test_without_slurm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert slurm.active_tasks() is None
    assert slurm.max_array_size() is None
    assert slurm.cluster_name() is None
    assert slurm.states() is None


def test_its_configuration(program: Program):
    program("scontrol", printing(CONFIG))
    assert slurm.max_array_size() == 4001
    assert slurm.cluster_name() == "attic"


def test_the_states_that_may_be_asked_for(program: Program):
    program("squeue", f"exec >&2; {printing(STATES)}exit 1")
    states = slurm.states()
    assert states is not None
    assert set(states) == {"PENDING", "RUNNING", "SUSPENDED", "COMPLETED", "RESV_DEL_HOLD"}
    assert not set(SETTINGS.SLURM_STATES.ACTIVE) <= states
