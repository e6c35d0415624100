"""First failures stop a study, bad nodes are excluded, and both end by the printed commands."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from experiments import slurm
from experiments.cli.app import main
from experiments.database.connection import Runs
from experiments.worker.assignment import Assignment
from experiments.worker.exit_codes import CLAIMS_STOPPED
from experiments.worker.failures.claims import excluded_nodes, refuse_claim, why_stopped
from experiments.worker.failures.first_failures import FIRST_FAILURES, stop_of
from experiments.worker.records.causes import MACHINE
from tests.experiments.shell import Shell
from tests.experiments.worker.claiming import Fill, start_by_seml, statuses
from tests.experiments.worker.disturbed import worker as started_worker
from tests.experiments.worker.past import attempt, fail, worker

NO_DATA = ["data set cifar10: missing in /data"]
EIGHT = range(1, FIRST_FAILURES + 1)


def bad_node(runs: Runs, reason: str = "the GPU failed: CUDA error: an illegal memory access") -> None:
    """Eight workers that fail on n07, and sixteen that do not elsewhere."""
    for number in range(24):
        one = worker(runs, host="n07" if number < 8 else f"n0{number % 3}")
        if number < 8:
            attempt(runs, 1, one, "GIVEN_BACK", reason)


def test_eight_failures_of_one_cause_stop_a_study(runs: Runs, pending_runs: Fill):
    pending_runs([{}] * 12)
    fail(runs, list(EIGHT)[:-1], worker(runs))
    fail(runs, [9], worker(runs), ["ValueError: another cause"])
    assert stop_of(runs.database, runs.name) is None
    fail(runs, [FIRST_FAILURES], worker(runs))
    stop = stop_of(runs.database, runs.name)
    assert stop is not None
    assert str(stop).startswith(f"{runs.name} is stopped: no run is completed, 8 FAILED for one cause: torch.OutOfMem")
    runs.update_one({"_id": 12}, {"$set": {"status": "COMPLETED"}})
    assert stop_of(runs.database, runs.name) is None


def test_a_cause_of_a_machine_stops_its_node_and_on_two_nodes_the_study(runs: Runs, pending_runs: Fill):
    pending_runs([{}] * 12)
    fail(runs, EIGHT, worker(runs, host="n01"), NO_DATA)
    assert why_stopped(runs.database, runs.name) is None
    assert why_stopped(runs.database, runs.name, "n02") is None
    assert "is stopped on node n01: " in (why_stopped(runs.database, runs.name, "n01") or "")
    assert set(excluded_nodes(runs.database, runs.name)) == {"n01"}
    fail(runs, [9], worker(runs, host="n02"), NO_DATA)
    assert "is stopped: no run is completed, 9 FAILED" in (why_stopped(runs.database, runs.name) or "")


def test_failed_gpus_of_eight_workers_stop_a_study_until_they_are_forgotten(
    runs: Runs, pending_runs: Fill, found_by_commands: None, capsys: pytest.CaptureFixture[str]
):
    """Their runs are released and not FAILED; those of one worker count once, and a preemption does not count."""
    pending_runs([{}] * 12)
    for number in EIGHT:
        one = worker(runs, host=f"n0{number % 2}")
        for run in range(1, 13):
            attempt(runs, run, one, "GIVEN_BACK", "the GPU failed: CUDA error" if number > 1 else "SIGTERM")
    assert stop_of(runs.database, runs.name) is None
    attempt(runs, 1, worker(runs, host="n01"), "GIVEN_BACK", "the GPU failed: CUDA error")
    assert main(["failures", runs.name]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if " is stopped: " in line]
    assert "no run is completed, 8 workers failed for one cause: released: the GPU failed: CUDA error; " in line
    (forget, _) = re.findall("`walking-noise (.*?)`", line)
    assert main(forget.split()) == 0
    assert stop_of(runs.database, runs.name) is None


@pytest.mark.parametrize("way_on", ["reset", "forget"])
def test_a_stopped_study_goes_on(runs: Runs, pending_runs: Fill, shell: Shell, found_by_commands: None, way_on: str):
    pending_runs([{}] * 9)
    fail(runs, EIGHT, worker(runs))
    if way_on == "reset":
        shell.run("seml", runs.name, "reset", "-y", "-s", "FAILED")
    else:
        assert main(["failures", runs.name, "--forget"]) == 0
    assert stop_of(runs.database, runs.name) is None
    fail(runs, EIGHT, worker(runs, ended=-1.0))
    assert stop_of(runs.database, runs.name) is not None


def test_a_worker_of_a_stopped_study_claims_nothing(shell: Shell, runs: Runs, pending_runs: Fill):
    pending_runs([{}] * 10)
    fail(runs, EIGHT, worker(runs))
    with started_worker(shell, runs, run=9, held=False) as one:
        output = one.end(CLAIMS_STOPPED)
    (line,) = [line for line in output.splitlines() if "no run is claimed" in line]
    assert f"{runs.name} is stopped: no run is completed, 8 FAILED for one cause: torch.OutOfMemoryError" in line
    assert line.endswith(f"and run `walking-noise start {runs.name}`")
    assert statuses(runs) == {**dict.fromkeys(EIGHT, "FAILED"), 9: "STAGED", 10: "STAGED"}


@pytest.mark.parametrize(("in_slurm", "expected"), [(True, "PENDING"), (False, "STAGED")])
def test_a_worker_on_a_bad_node_claims_nothing(
    runs: Runs, pending_runs: Fill, monkeypatch: pytest.MonkeyPatch, in_slurm: bool, expected: str
):
    """Outside Slurm, `start --local` would start a worker for a PENDING run again and again."""
    pending_runs([{}] * 2)
    bad_node(runs)
    leader = start_by_seml(runs, 1)
    if in_slurm:
        monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "0")
    monkeypatch.setenv("SLURMD_NODENAME", "n01")
    assert refuse_claim(runs, Assignment(runs.name, 1)) is None
    assert statuses(runs) == {1: "RUNNING", 2: "PENDING"}
    monkeypatch.setenv("SLURMD_NODENAME", "n07")
    reason = refuse_claim(runs, Assignment(runs.name, leader["_id"]))
    assert (reason or "").startswith("node n07: 8 of 8 workers failed (the GPU failed: CUDA error")
    assert statuses(runs) == {1: expected, 2: expected}


def test_failures_of_runs_blame_no_node(runs: Runs, pending_runs: Fill):
    pending_runs([{}])
    bad_node(runs, "ValueError: the loss is not finite")
    assert excluded_nodes(runs.database, runs.name) == {}


@pytest.mark.parametrize("name", ["--help", "n07,n08", "n[1-9]", "a b", "", "n07;rm", "-n"])
def test_a_text_that_is_no_node_name_reaches_no_command(runs: Runs, pending_runs: Fill, name: str):
    pending_runs([{}])
    for number in range(24):
        one = worker(runs, host=name if number < 8 else "n01")
        if number < 8:
            attempt(runs, 1, one, "LOST", "Slurm task has ended")
    assert excluded_nodes(runs.database, runs.name) == {}


@pytest.mark.parametrize(
    ("cause", "of_machine"),
    [
        ("the GPU failed: CUDA error: uncorrectable ECC error encountered", True),
        ("data set cifar10: missing in PATH: a.bin", True),
        ("OSError: [Errno 28] No space left on device: PATH", True),
        ("WALKING_NOISE_DEVICE: 'cuda' is refused; this machine has no such device", True),
        ("torch.OutOfMemoryError: CUDA out of memory", False),
        ("data set my_data:load: its function returns labels outside N..N", False),
        ("noise.std: N is refused", False),
        ("SIGTERM", False),
    ],
)
def test_causes_of_machines(cause: str, of_machine: bool):
    assert bool(MACHINE.search(cause)) is of_machine


def test_excluded_nodes_end_by_a_command(
    runs: Runs, pending_runs: Fill, found_by_commands: None, capsys: pytest.CaptureFixture[str]
):
    pending_runs([{}])
    bad_node(runs)
    assert main(["failures", runs.name]) == 0
    (command,) = re.findall(r"after its repair run `walking-noise (.*)`", capsys.readouterr().out)
    assert main(command.split()) == 0
    assert "node n07" not in capsys.readouterr().out.replace("nodes: n07", "")
    assert excluded_nodes(runs.database, runs.name) == {}
    bad_node_again = [worker(runs, host="n07", hours=0.0, ended=-1.0) for _ in range(8)]
    for one in bad_node_again:
        attempt(runs, 1, one, "LOST", "Slurm task has ended")
    for _ in range(16):
        worker(runs, host="n01", hours=0.0, ended=-1.0)
    assert set(excluded_nodes(runs.database, runs.name)) == {"n07"}


def test_the_name_of_a_node_is_that_of_slurm(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("SLURMD_NODENAME", raising=False)
    assert slurm.node_name() == os.uname().nodename
    monkeypatch.setenv("SLURMD_NODENAME", "n07")
    assert slurm.node_name() == "n07"


@pytest.mark.slow
def test_a_local_study_is_stopped_and_completed_after_the_printed_commands(
    shell: Shell, runs: Runs, pending_runs: Fill, tmp_path: Path
):
    """The first two packs miss their data set; the third worker ends the study. The data are then another set."""
    pending_runs([{"data.name": "cifar10", "seed": seed, "training.epochs": 1} for seed in range(12)])
    environment = {"WALKING_NOISE_PACK_SIZE": "4", "WALKING_NOISE_DATA": str(tmp_path)}
    shell = shell.having(environment)
    runs.update_many({}, {"$set": {"status": "STAGED", "seml.env": environment, "seml.output_dir": str(tmp_path)}})
    shell.run("walking-noise", "start", runs.name, "--local", executed=True)
    assert statuses(runs) == {run: "FAILED" if run <= 8 else "STAGED" for run in range(1, 13)}
    with shell.start("walking-noise", "start", runs.name, "--local") as refused:
        assert "nothing is started: " in refused.communicate(timeout=100)[0]
    assert refused.returncode == 1
    runs.update_many({}, {"$set": {"config.data.name": "mnist5k"}})
    (reset,) = re.findall("   reset: (.*)", shell.run("walking-noise", "failures", runs.name))
    shell.run("bash", "-c", reset)
    shell.run("walking-noise", "start", runs.name, "--local", executed=True)
    assert set(statuses(runs).values()) == {"COMPLETED"}
