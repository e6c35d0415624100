"""Workers killed for memory: the evidence for it, and the smaller packs of the next workers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from experiments import slurm
from experiments.cli.app import main
from experiments.database.connection import Document, Runs
from experiments.database.run_collections import ATTEMPTS, WORKERS
from experiments.slurm import ActiveTasks
from experiments.worker import cgroup
from experiments.worker.leases import Leases
from experiments.worker.pack_limits import PackLimit
from experiments.worker.records.history import WorkerHistory
from experiments.worker.records.study_record import limit_pack, pack_limit
from experiments.worker.recovery.after_exit import recover_runs
from experiments.worker.recovery.lost_workers import Recovered, Recovery
from experiments.worker.recovery.out_of_memory import TOO_LARGE
from tests.experiments.shell import ROOT, Shell
from tests.experiments.worker.claiming import Fill, acquire_leases, statuses
from tests.experiments.worker.disturbed import worker as started_worker
from walking_noise import RunConfig
from walking_noise.runtime.sizing.memory_limits import TRAINED

TASK = {"cluster": "alpha", "array_id": 4711, "task_id": 3}
NUMBER = (4711, 3)


def killed(runs: Runs, size: int = 9, **execution: object) -> Leases:
    """A worker on a GPU that held runs 1 and 2, in packs of ``size``."""
    leases, _ = acquire_leases(runs, 1, [2], **(execution or TASK))
    about: Document = {"host": "n07", "device": "H200", "gpu": True, "version": "1.0"}
    leader = {"_id": 1, "execution": execution or TASK}
    WorkerHistory(runs, leases.assignment.token).begin(leader, 2, **about, pack={"key": "k", "size": size})
    return leases


def recover(runs: Runs, state: str | None = None) -> Recovered:
    """Recovery with a queue that shows no task, or the task with the state in which it has ended."""
    tasks = ActiveTasks(frozenset(), {NUMBER: state} if state else {})
    return Recovery(runs, "alpha", lambda: tasks).recover_lost()


def limit(runs: Runs) -> int | None:
    return pack_limit(runs.database, runs.name, "k", "H200")


def worker_document(runs: Runs, leases: Leases) -> Document:
    document = runs.database[WORKERS].find_one({"_id": leases.assignment.token})
    assert document is not None
    return document


@pytest.fixture
def sacct(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The output of sacct, which fails as long as there is none."""
    output = tmp_path / "accounting"
    (tmp_path / "sacct").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\nexec cat {output}\n')
    (tmp_path / "sacct").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return output


def test_packs_of_a_task_killed_for_memory_are_halved(runs: Runs, pending_runs: Fill, sacct: Path):
    pending_runs([{}] * 2)
    leases = killed(runs)
    recovered = recover(runs, state="OUT_OF_MEMORY")
    assert recovered.returned == {"Slurm task has ended: OUT_OF_MEMORY": 2}
    assert recovered.limits == ["killed for memory: packs of 9 networks on H200; from now on at most 5"]
    assert statuses(runs) == {1: "PENDING", 2: "PENDING"}
    assert limit(runs) == 5
    assert "fault" not in worker_document(runs, leases)
    assert not (sacct.parent / "asked").exists()
    assert recover(runs, state="OUT_OF_MEMORY").limits == []
    for size, half in ((5, 3), (3, 2), (2, 1)):
        killed(runs, size)
        recover(runs, state="OUT_OF_MEMORY")
        assert limit(runs) == half


def test_a_task_that_left_the_queue_is_looked_up_in_the_accounting(runs: Runs, pending_runs: Fill, sacct: Path):
    pending_runs([{}] * 2)
    killed(runs)
    sacct.write_text("4711_3|OUT_OF_MEMORY\n4711_4|CANCELLED by 1000\n")
    assert recover(runs).returned == {"Slurm task has ended: OUT_OF_MEMORY": 2}
    assert limit(runs) == 5
    assert "--jobs=4711_3" in (sacct.parent / "asked").read_text()


def test_without_an_accounting_the_end_is_not_explained(runs: Runs, pending_runs: Fill, sacct: Path):
    pending_runs([{}] * 2)
    leases = killed(runs)
    assert recover(runs).returned == {"Slurm task has ended": 2}
    assert limit(runs) is None
    assert worker_document(runs, leases)["fault"] == "Slurm task has ended"


@pytest.mark.parametrize(("state", "blamed"), [("NODE_FAIL", True), ("TIMEOUT", False), ("CANCELLED", False)])
def test_other_ends_of_a_task(runs: Runs, pending_runs: Fill, sacct: Path, state: str, blamed: bool):
    pending_runs([{}] * 2)
    leases = killed(runs)
    assert recover(runs, state=state).returned == {f"Slurm task has ended: {state}": 2}
    assert limit(runs) is None
    assert ("fault" in worker_document(runs, leases)) is blamed


def test_runs_that_are_too_large_alone_fail(runs: Runs, pending_runs: Fill, sacct: Path):
    pending_runs([{}] * 2)
    killed(runs, 1)
    assert recover(runs, state="OUT_OF_MEMORY").failed == 2
    assert statuses(runs) == {1: "FAILED", 2: "FAILED"}
    assert {run["fail_trace"][0] for run in runs.find()} == {TOO_LARGE}
    attempts = list(runs.database[ATTEMPTS].find({"collection": runs.name}))
    assert {(one["end"], one["reason"]) for one in attempts} == {("FAILED", TOO_LARGE)}


def test_the_queue_explains_the_end_of_a_worker_whose_supervisor_survived(runs: Runs, pending_runs: Fill, sacct: Path):
    """It has released its runs before Slurm knows the state of the task."""
    pending_runs([{}] * 2)
    leases = killed(runs)
    recover_runs(leases, -9, stopped=False)
    assert limit(runs) is None
    assert recover(runs, state="OUT_OF_MEMORY").limits != []
    assert limit(runs) == 5


@pytest.mark.parametrize(("size", "leader"), [(9, "PENDING"), (1, "FAILED")])
def test_a_supervisor_that_knows_of_a_kill_for_memory(runs: Runs, pending_runs: Fill, size: int, leader: str):
    pending_runs([{}] * 2)
    leases = killed(runs, size)
    message = recover_runs(leases, -9, stopped=False, for_memory=True)
    assert message.startswith("the worker ended by signal 9 (killed for memory); killed for memory: packs of ")
    assert statuses(runs) == {1: leader, 2: "PENDING"}
    assert limit(runs) == (size + 1) // 2
    assert "fault" not in worker_document(runs, leases)


def test_the_next_worker_trains_smaller_packs(shell: Shell, runs: Runs, pending_runs: Fill):
    pending_runs([{"noise.std": 0.1 * number, "training.epochs": 1} for number in range(1, 7)])
    run = runs.find_one()
    assert run is not None
    key = RunConfig.from_document(run["config"]).pack_key
    limit_pack(runs.database, runs.name, key, "cpu", 2)
    with started_worker(shell, runs, held=False) as one:
        one.end()
    assert [run["result"]["pack_size"] for run in runs.find()] == [2] * 6
    (document,) = runs.database[WORKERS].find({"collection": runs.name})
    assert document["pack"] == {"key": key, "size": 2}


def test_a_limit_that_training_learns_is_stored_until_it_is_forgotten(
    runs: Runs, pending_runs: Fill, found_by_commands: None, capsys: pytest.CaptureFixture[str]
):
    pending_runs([{}])
    config = RunConfig.from_dict({})
    first = PackLimit(runs, config, None)
    first.remember(10.0)
    assert PackLimit(runs, config, None).size is None
    first.learned.halve(TRAINED, config.pack_key, 7)
    first.remember(10.0)
    second = PackLimit(runs, config, None)
    assert second.size == second.learned.limit(TRAINED, config.pack_key, 100) == 4
    assert second.pack_of([config])["size"] == 1
    assert main(["failures", runs.name]) == 0
    assert "packs on cpu have at most 4 networks" in capsys.readouterr().out
    assert main(["failures", runs.name, "--forget"]) == 0
    assert PackLimit(runs, config, None).size is None


@pytest.mark.parametrize(
    ("own", "file", "text", "expected"),
    [
        ("0::/job_7/step_batch\n", "job_7/step_batch/memory.events", "low 0\noom 3\noom_kill 2\n", 2),
        ("4:cpu,memory:/job_7\n0::/\n", "memory/job_7/memory.oom_control", "under_oom 0\noom_kill 1\n", 1),
        ("4:memory:/job_7\n", "memory/job_7/memory.oom_control", "under_oom 0\n", None),
        ("0::/job_7\n", "job_8/memory.events", "oom_kill 2\n", None),
    ],
)
def test_kills_that_a_control_group_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str, file: str, text: str, expected: int | None
):
    monkeypatch.setattr(cgroup, "ROOT", tmp_path)
    monkeypatch.setattr(cgroup, "OWN", tmp_path / "own")
    assert cgroup.killed_for_memory() is None
    (tmp_path / "own").write_text(own)
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(text)
    assert cgroup.killed_for_memory() == expected


SUPERVISED = """
import os, pathlib, signal, sys
from experiments.worker import cgroup, supervisor
from experiments.worker.assignment import Assignment
from experiments.worker.recovery import after_exit

folder, kills = pathlib.Path(sys.argv[1]), sys.argv[2]
cgroup.ROOT, cgroup.OWN = folder, folder / "own"
(folder / "own").write_text("0::/\\n")
(folder / "memory.events").write_text("oom_kill 4\\n")
after_exit.recover_after_exit = lambda assignment, code, **how: print(code, how["for_memory"], flush=True)
supervisor.continue_in_child(Assignment("study", 1))
(folder / "memory.events").write_text(f"oom_kill {kills}\\n")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(("kills", "expected"), [("4", "-9 False"), ("5", "-9 True")])
def test_a_supervisor_compares_the_kills_before_and_after(tmp_path: Path, kills: str, expected: str):
    command = [sys.executable, "-c", SUPERVISED, str(tmp_path), kills]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (finished.stdout.strip(), finished.returncode) == (expected, 137)


def test_states_in_the_accounting(sacct: Path):
    assert slurm.states_of_ended([NUMBER]) == {}
    sacct.write_text("4711_3|CANCELLED by 0\n4711_4|RUNNING\n4711_5|OUT_OF_MEMORY\n4712|FAILED\n")
    assert slurm.states_of_ended([NUMBER]) == {(4711, 3): "CANCELLED", (4711, 5): "OUT_OF_MEMORY"}
