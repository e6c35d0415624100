"""Recovery of runs of lost workers; runs of live workers are not changed."""

from __future__ import annotations

import datetime
import logging
from typing import Any

import pytest

from experiments.database.connection import Runs, server_time
from experiments.database.run_collections import ATTEMPTS, WORKERS
from experiments.slurm import ActiveTasks
from experiments.worker.assignment import Assignment
from experiments.worker.leases import Leases
from experiments.worker.records.history import WorkerHistory
from experiments.worker.recovery.at_startup import recover_at_startup
from experiments.worker.recovery.lost_workers import Recovery
from tests.experiments.worker.claiming import ANY, Fill, acquire_leases, start_by_seml, statuses

TASK = {"cluster": "alpha", "array_id": 4711, "task_id": 3}


def recovery(runs: Runs, *tasks: tuple[int, int], answers: bool = True) -> Recovery:
    return Recovery(runs, "alpha", lambda: ActiveTasks(frozenset(tasks)) if answers else None)


def age(runs: Runs, leases: Leases, seconds: float, **fields: str) -> None:
    """Set times in the documents of a worker to ``seconds`` ago."""
    then = server_time(runs.database) - datetime.timedelta(seconds=seconds)
    runs.update_many({"claim.token": leases.assignment.token}, {"$set": dict.fromkeys(fields.values(), then)})


def test_runs_without_a_slurm_task_are_recovered_at_once(runs: Runs, pending_runs: Fill):
    pending_runs([{}] * 4)
    leases, _ = acquire_leases(runs, 1, [2, 3], **TASK)
    runs.update_one({"_id": 3}, {"$set": {"status": "COMPLETED"}})
    recovered = recovery(runs, (4711, 2)).recover_lost()
    assert recovered.returned == {"Slurm task has ended": 2}
    assert statuses(runs) == {1: "PENDING", 2: "PENDING", 3: "COMPLETED", 4: "PENDING"}
    returned = runs.find_one({"_id": 1})
    assert returned is not None
    assert returned["execution"] == {"cluster": "alpha"}
    assert returned["returned_by"] == leases.assignment.token
    assert "claim" not in returned


def test_each_recovery_adds_an_attempt_to_the_history(runs: Runs, pending_runs: Fill):
    pending_runs([{}] * 2)
    for _ in range(2):
        acquire_leases(runs, 1, [2], **TASK)
        recovery(runs).recover_lost()
    attempts = list(runs.database[ATTEMPTS].find({"collection": runs.name}))
    assert sorted(attempt["run"] for attempt in attempts) == [1, 1, 2, 2]
    assert {attempt["end"] for attempt in attempts} == {"LOST"}
    assert {attempt["slurm"] for attempt in attempts} == {"4711_3"}
    assert all(attempt["host"] and attempt["started"] <= attempt["ended"] for attempt in attempts)


def test_the_end_of_a_lost_worker_is_its_last_heartbeat(runs: Runs, pending_runs: Fill):
    pending_runs([{}])
    leases, _ = acquire_leases(runs, 1, [], **TASK)
    history = WorkerHistory(runs, leases.assignment.token)
    history.begin({"_id": 1, "execution": TASK}, 1, host="node7", device="a GPU", gpu=True, version="1.0")
    recovery(runs).recover_lost()
    worker = runs.database[WORKERS].find_one({"_id": leases.assignment.token})
    assert worker is not None
    assert (worker["ended"], worker["end"]) == (worker["beat"], "Slurm task has ended")
    assert worker["slurm"] == TASK


def test_runs_of_a_live_worker_are_not_changed(runs: Runs, pending_runs: Fill):
    pending_runs([{}] * 2)
    acquire_leases(runs, 1, [2], **TASK)
    assert not recovery(runs, (4711, 3)).recover_lost().returned
    assert set(statuses(runs).values()) == {"RUNNING"}


def test_without_an_answer_of_slurm_no_task_counts_as_gone(runs: Runs, pending_runs: Fill):
    pending_runs([{}] * 2)
    acquire_leases(runs, 1, [2], **TASK)
    recovered = recovery(runs, answers=False).recover_lost()
    assert (recovered.returned, recovered.unseen) == ({}, 2)
    assert set(statuses(runs).values()) == {"RUNNING"}


def test_tasks_of_another_cluster_are_not_queried(runs: Runs, pending_runs: Fill):
    pending_runs([{}] * 2)
    acquire_leases(runs, 1, [2], **{**TASK, "cluster": "beta"})
    assert not recovery(runs).recover_lost().returned


def test_an_expired_lease_is_marked_and_ends_after_the_grace_period(runs: Runs, pending_runs: Fill):
    pending_runs([{}] * 2)
    leases, _ = acquire_leases(runs, 1, [2])
    assert recovery(runs).recover_lost().silent == 0
    age(runs, leases, 1, lease="claim.lease")
    for _ in range(2):
        recovered = recovery(runs).recover_lost()
        assert (recovered.silent, recovered.returned) == (2, {})
    age(runs, leases, 61, mark="suspected")
    (reason,) = recovery(runs).recover_lost().returned
    assert reason.startswith("no heartbeat from ")
    assert set(statuses(runs).values()) == {"PENDING"}


def test_a_heartbeat_in_the_grace_period_removes_the_mark(runs: Runs, pending_runs: Fill):
    pending_runs([{}] * 2)
    leases, _ = acquire_leases(runs, 1, [2])
    age(runs, leases, 1, lease="claim.lease")
    recovery(runs).recover_lost()
    age(runs, leases, 61, mark="suspected")
    assert leases.renew([1, 2]) == 2
    assert not recovery(runs).recover_lost().returned
    assert runs.count_documents({"suspected": {"$exists": True}}) == 0


def test_a_worker_that_returns_after_its_lease_ended_has_no_runs(runs: Runs, pending_runs: Fill):
    pending_runs([{}] * 2)
    late, _ = acquire_leases(runs, 1, [2], **TASK)
    recovery(runs).recover_lost()
    acquire_leases(runs, 1, [2], **{**TASK, "task_id": 4})
    assert late.renew([1, 2]) == 0
    assert late.release([1, 2]) == 0
    assert late.acquire(start_by_seml(runs, 1), ANY, [2]) == set()


def test_a_run_whose_worker_has_not_started_waits_while_its_task_is_active(runs: Runs, pending_runs: Fill):
    pending_runs([{}])
    start_by_seml(runs, 1, **TASK)
    assert not recovery(runs, (4711, 3)).recover_lost().returned
    assert recovery(runs, (4711, 3)).recover_lost().silent == 0
    assert recovery(runs).recover_lost().returned == {"Slurm task has ended": 1}
    assert statuses(runs) == {1: "PENDING"}


def test_a_run_without_a_worker_outside_slurm_is_recovered_after_a_lease(runs: Runs, pending_runs: Fill):
    pending_runs([{}])
    start_by_seml(runs, 1)
    recovered = recovery(runs).recover_lost()
    assert (recovered.silent, recovered.starting) == (0, 1)
    then = server_time(runs.database) - datetime.timedelta(seconds=301)
    runs.update_many({}, {"$set": {"suspected": then}})
    assert recovery(runs).recover_lost().returned == {"worker never started": 1}


def test_a_new_worker_does_not_count_its_own_run(runs: Runs, pending_runs: Fill, caplog: pytest.LogCaptureFixture):
    """In a new collection nothing is reported."""
    pending_runs([{}])
    leader = start_by_seml(runs, 1)
    with caplog.at_level(logging.INFO):
        recover_at_startup(runs, leader, Assignment(runs.name, 1).token, None, 300.0)
    assert caplog.messages == []
    assert runs.count_documents({"suspected": {"$exists": True}}) == 0


def test_killed_runs_are_recovered_and_those_with_a_result_are_completed(runs: Runs, pending_runs: Fill):
    pending_runs([{}] * 3)
    acquire_leases(runs, 1, [2, 3], **TASK)
    runs.update_one({"_id": 2}, {"$set": {"status": "COMPLETED", "result": {"accuracy": 0.5}}})
    runs.update_many({}, {"$set": {"status": "KILLED"}})
    recovered = recovery(runs).recover_killed()
    assert (recovered.returned, recovered.completed) == ({"Slurm task has ended": 2}, 1)
    assert statuses(runs) == {1: "PENDING", 2: "COMPLETED", 3: "PENDING"}


def test_a_requeued_task_recovers_its_earlier_runs(runs: Runs, pending_runs: Fill):
    pending_runs([{}] * 5)
    acquire_leases(runs, 1, [2], **TASK)
    acquire_leases(runs, 3, [4], **{**TASK, "task_id": 4})
    leader = start_by_seml(runs, 5, **TASK)
    recovered = recovery(runs, (4711, 3), (4711, 4)).recover_requeued(leader, Assignment(runs.name, 5).token)
    assert recovered.returned == {"Slurm task was requeued": 2}
    assert statuses(runs) == {1: "PENDING", 2: "PENDING", 3: "RUNNING", 4: "RUNNING", 5: "RUNNING"}


def test_a_heartbeat_between_reading_and_releasing_keeps_the_runs(runs: Runs, pending_runs: Fill, monkeypatch: Any):
    pending_runs([{}] * 2)
    leases, _ = acquire_leases(runs, 1, [2])
    age(runs, leases, 1, lease="claim.lease", mark="suspected")
    age(runs, leases, 61, mark="suspected")
    read = Recovery._runs_by_owner

    def read_slowly(self: Recovery, status: str, own: int | None) -> Any:
        by_owner = read(self, status, own)
        leases.renew([1, 2])
        return by_owner

    monkeypatch.setattr(Recovery, "_runs_by_owner", read_slowly)
    assert not recovery(runs).recover_lost().returned
    assert set(statuses(runs).values()) == {"RUNNING"}
    assert runs.database[ATTEMPTS].count_documents({"collection": runs.name}) == 0
