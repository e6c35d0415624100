"""Runs of lost workers are found and returned; those of living ones are left alone."""

from __future__ import annotations

import datetime
from typing import Any

from experiments.database.connection import Runs, server_time
from experiments.database.run_collections import ATTEMPTS, WORKERS
from experiments.slurm import ActiveTasks
from experiments.worker.assignment import Assignment
from experiments.worker.leases import Leases
from experiments.worker.records.history import WorkerHistory
from experiments.worker.recovery.lost_workers import Recovery
from tests.experiments.worker.claiming import ANY, Fill, claim, start_by_seml, statuses

TASK = {"cluster": "alpha", "array_id": 4711, "task_id": 3}


def rescue(runs: Runs, *tasks: tuple[int, int], answers: bool = True) -> Recovery:
    return Recovery(runs, "alpha", lambda: ActiveTasks(frozenset(tasks)) if answers else None)


def age(runs: Runs, leases: Leases, seconds: float, **fields: str) -> None:
    """Let times of a claim be so long ago."""
    then = server_time(runs.database) - datetime.timedelta(seconds=seconds)
    runs.update_many({"claim.token": leases.assignment.token}, {"$set": dict.fromkeys(fields.values(), then)})


def test_runs_whose_slurm_task_is_gone_are_returned_at_once(runs: Runs, pending_runs: Fill):
    pending_runs([{}] * 4)
    leases, _ = claim(runs, 1, [2, 3], **TASK)
    runs.update_one({"_id": 3}, {"$set": {"status": "COMPLETED"}})
    found = rescue(runs, (4711, 2)).recover_lost()
    assert found.returned == {"its Slurm task is gone": 2}
    assert statuses(runs) == {1: "PENDING", 2: "PENDING", 3: "COMPLETED", 4: "PENDING"}
    returned = runs.find_one({"_id": 1})
    assert returned is not None
    assert returned["execution"] == {"cluster": "alpha"}
    assert returned["returned_by"] == leases.assignment.token
    assert "claim" not in returned


def test_every_returned_run_has_its_attempt_counted(runs: Runs, pending_runs: Fill):
    pending_runs([{}] * 2)
    for _ in range(2):
        claim(runs, 1, [2], **TASK)
        rescue(runs).recover_lost()
    attempts = list(runs.database[ATTEMPTS].find({"collection": runs.name}))
    assert sorted(attempt["run"] for attempt in attempts) == [1, 1, 2, 2]
    assert {attempt["end"] for attempt in attempts} == {"LOST"}
    assert {attempt["slurm"] for attempt in attempts} == {"4711_3"}
    assert all(attempt["host"] and attempt["started"] <= attempt["ended"] for attempt in attempts)


def test_the_lost_workers_time_ends_with_its_last_sign_of_life(runs: Runs, pending_runs: Fill):
    pending_runs([{}])
    leases, _ = claim(runs, 1, [], **TASK)
    history = WorkerHistory(runs, leases.assignment.token)
    history.begin({"_id": 1, "execution": TASK}, 1, host="node7", device="a GPU", gpu=True, version="1.0")
    rescue(runs).recover_lost()
    worker = runs.database[WORKERS].find_one({"_id": leases.assignment.token})
    assert worker is not None
    assert (worker["ended"], worker["end"]) == (worker["beat"], "its Slurm task is gone")
    assert worker["slurm"] == TASK


def test_runs_of_a_living_worker_stay(runs: Runs, pending_runs: Fill):
    pending_runs([{}] * 2)
    claim(runs, 1, [2], **TASK)
    assert not rescue(runs, (4711, 3)).recover_lost().returned
    assert set(statuses(runs).values()) == {"RUNNING"}


def test_a_slurm_that_does_not_answer_is_no_empty_slurm(runs: Runs, pending_runs: Fill):
    pending_runs([{}] * 2)
    claim(runs, 1, [2], **TASK)
    found = rescue(runs, answers=False).recover_lost()
    assert (found.returned, found.unseen) == ({}, 2)
    assert set(statuses(runs).values()) == {"RUNNING"}


def test_tasks_of_another_cluster_are_not_asked_for(runs: Runs, pending_runs: Fill):
    pending_runs([{}] * 2)
    claim(runs, 1, [2], **{**TASK, "cluster": "beta"})
    assert not rescue(runs).recover_lost().returned


def test_a_lease_that_is_over_is_marked_and_returned_when_its_grace_is_over(runs: Runs, pending_runs: Fill):
    pending_runs([{}] * 2)
    leases, _ = claim(runs, 1, [2])
    assert rescue(runs).recover_lost().silent == 0
    age(runs, leases, 1, lease="claim.lease")
    for _ in range(2):
        found = rescue(runs).recover_lost()
        assert (found.silent, found.returned) == (2, {})
    age(runs, leases, 61, mark="suspected")
    (reason,) = rescue(runs).recover_lost().returned
    assert reason.startswith("no sign of life from ")
    assert set(statuses(runs).values()) == {"PENDING"}


def test_an_owner_that_says_that_it_lives_keeps_its_runs(runs: Runs, pending_runs: Fill):
    pending_runs([{}] * 2)
    leases, _ = claim(runs, 1, [2])
    age(runs, leases, 1, lease="claim.lease")
    rescue(runs).recover_lost()
    age(runs, leases, 61, mark="suspected")
    assert leases.renew([1, 2]) == 2
    assert not rescue(runs).recover_lost().returned
    assert runs.count_documents({"suspected": {"$exists": True}}) == 0


def test_an_owner_that_comes_back_too_late_finds_its_token_gone(runs: Runs, pending_runs: Fill):
    pending_runs([{}] * 2)
    late, _ = claim(runs, 1, [2], **TASK)
    rescue(runs).recover_lost()
    claim(runs, 1, [2], **{**TASK, "task_id": 4})
    assert late.renew([1, 2]) == 0
    assert late.release([1, 2]) == 0
    assert late.acquire(start_by_seml(runs, 1), ANY, [2]) == set()


def test_a_run_whose_worker_has_not_begun_waits_for_its_task(runs: Runs, pending_runs: Fill):
    pending_runs([{}])
    start_by_seml(runs, 1, **TASK)
    assert not rescue(runs, (4711, 3)).recover_lost().returned
    assert rescue(runs, (4711, 3)).recover_lost().silent == 0
    assert rescue(runs).recover_lost().returned == {"its Slurm task is gone": 1}
    assert statuses(runs) == {1: "PENDING"}


def test_a_run_that_never_got_a_worker_outside_slurm_is_returned_after_a_lease(runs: Runs, pending_runs: Fill):
    pending_runs([{}])
    start_by_seml(runs, 1)
    assert rescue(runs).recover_lost().silent == 1
    then = server_time(runs.database) - datetime.timedelta(seconds=301)
    runs.update_many({}, {"$set": {"suspected": then}})
    assert rescue(runs).recover_lost().returned == {"its worker never began": 1}


def test_what_seml_called_killed_is_returned_and_what_has_a_result_is_completed(runs: Runs, pending_runs: Fill):
    pending_runs([{}] * 3)
    claim(runs, 1, [2, 3], **TASK)
    runs.update_one({"_id": 2}, {"$set": {"status": "COMPLETED", "result": {"accuracy": 0.5}}})
    runs.update_many({}, {"$set": {"status": "KILLED"}})
    found = rescue(runs).recover_killed()
    assert (found.returned, found.completed) == ({"its Slurm task is gone": 2}, 1)
    assert statuses(runs) == {1: "PENDING", 2: "COMPLETED", 3: "PENDING"}


def test_a_task_that_was_queued_again_returns_what_it_left(runs: Runs, pending_runs: Fill):
    pending_runs([{}] * 5)
    claim(runs, 1, [2], **TASK)
    claim(runs, 3, [4], **{**TASK, "task_id": 4})
    leader = start_by_seml(runs, 5, **TASK)
    found = rescue(runs, (4711, 3), (4711, 4)).recover_requeued(leader, Assignment(runs.name, 5).token)
    assert found.returned == {"its Slurm task began anew": 2}
    assert statuses(runs) == {1: "PENDING", 2: "PENDING", 3: "RUNNING", 4: "RUNNING", 5: "RUNNING"}


def test_a_sign_of_life_between_looking_and_taking_away_is_heard(runs: Runs, pending_runs: Fill, monkeypatch: Any):
    pending_runs([{}] * 2)
    leases, _ = claim(runs, 1, [2])
    age(runs, leases, 1, lease="claim.lease", mark="suspected")
    age(runs, leases, 61, mark="suspected")
    look = Recovery._owned

    def slowly(self: Recovery, status: str) -> Any:
        owned = look(self, status)
        leases.renew([1, 2])
        return owned

    monkeypatch.setattr(Recovery, "_owned", slowly)
    assert not rescue(runs).recover_lost().returned
    assert set(statuses(runs).values()) == {"RUNNING"}
    assert runs.database[ATTEMPTS].count_documents({"collection": runs.name}) == 0
