"""Leases: no run is leased twice or lost, and a cancelled run stays cancelled."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from experiments.database.connection import Document, Runs, server_time
from experiments.database.embedded_server import DATABASE, EmbeddedDatabase
from experiments.database.indexes import ensure_indexes
from experiments.worker.assignment import Assignment
from experiments.worker.leases import ATTEMPT_FIELDS, LEASE_SECONDS, Leases
from tests.experiments.worker.claiming import ANY, Fill, acquire_leases, start_by_seml, statuses


def by_id(runs: Runs) -> dict[int, Document]:
    return {document["_id"]: document for document in runs.find()}


def test_only_pending_runs_are_leased(runs: Runs, pending_runs: Fill):
    pending_runs([{}] * 5)
    runs.update_one({"_id": 3}, {"$set": {"status": "INTERRUPTED"}})
    runs.delete_one({"_id": 4})
    _, own = acquire_leases(runs, 1, [2, 3, 4])
    assert own == {1, 2}
    assert statuses(runs) == {1: "RUNNING", 2: "RUNNING", 3: "INTERRUPTED", 5: "PENDING"}


def test_a_cancelled_leader_is_not_leased(runs: Runs, pending_runs: Fill):
    pending_runs([{}] * 2)
    leader = start_by_seml(runs, 1)
    runs.update_one({"_id": 1}, {"$set": {"status": "INTERRUPTED"}})
    assert Leases(runs, Assignment(runs.name, 1)).acquire(leader, ANY, [2]) == {2}
    assert statuses(runs) == {1: "INTERRUPTED", 2: "RUNNING"}


def test_companions_name_the_leaders_cluster_but_not_its_task(runs: Runs, pending_runs: Fill):
    pending_runs([{}] * 2)
    execution = {"cluster": "alpha", "array_id": 4711, "task_id": 3, "slurm_output_file": "/x/a_4711_3.out"}
    leases, _ = acquire_leases(runs, 1, [2], **execution)
    companion = runs.find_one({"_id": 2})
    assert companion is not None
    assert companion["execution"] == {"cluster": "alpha"}  # `seml cancel` of one run ends the task it names
    assert companion["claim"]["execution"] == execution
    assert companion["claim"]["token"] == leases.assignment.token
    assert companion["claim"]["leader"] == 1


def test_many_runs_are_leased_in_several_updates(runs: Runs, pending_runs: Fill, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("experiments.worker.leases.RUNS_PER_UPDATE", 2)
    pending_runs([{}] * 9)
    _, own = acquire_leases(runs, 4, [9, 2, 3, 7, 8])
    assert own == {2, 3, 4, 7, 8, 9}
    assert [run for run, status in statuses(runs).items() if status == "PENDING"] == [1, 5, 6]


def test_a_claim_takes_as_long_among_many_runs_as_among_few(embedded: EmbeddedDatabase, runs: Runs):
    """The embedded database, whose processor time is measured, reads the runs of a claim, not all pending ones."""
    many, few = (_seconds_of_claims(embedded, runs.database[f"{runs.name}_{count}"], count) for count in (4000, 400))
    assert many < 3 * few + 0.1


def _seconds_of_claims(embedded: EmbeddedDatabase, runs: Runs, count: int) -> float:
    """Processor seconds of ten claims of eight runs among ``count`` pending ones."""
    ensure_indexes(runs.database, runs.name)
    pending = {"status": "PENDING", "batch_id": 1, "seml": {"env": {"A": "x" * 500}}}
    runs.insert_many({"_id": run, **pending} for run in range(count))
    before = _server_seconds(embedded)
    for leader in range(0, 100, 10):
        acquire_leases(runs, leader, range(leader + 1, leader + 9))
    return _server_seconds(embedded) - before


def _server_seconds(embedded: EmbeddedDatabase) -> float:
    """Processor seconds of the server."""
    times = Path(f"/proc/{embedded.server.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, times)) / os.sysconf("SC_CLK_TCK")


def test_concurrent_workers_share_the_runs(embedded: EmbeddedDatabase, runs: Runs, pending_runs: Fill):
    workers, companions = 6, list(range(7, 127))
    pending_runs([{}] * 126)
    leaders = [start_by_seml(runs, run) for run in range(1, workers + 1)]
    ready = threading.Barrier(workers)
    leased: dict[int, set[int]] = {leader["_id"]: set() for leader in leaders}

    def work(leader: Document) -> None:
        assert embedded.access is not None
        with embedded.access.client() as client:
            collection: Runs = client[DATABASE][runs.name]
            leases = Leases(collection, Assignment(runs.name, leader["_id"]))
            ready.wait()
            for start in range(0, len(companions), 40):
                leased[leader["_id"]] |= leases.acquire(leader, ANY, companions[start : start + 40])

    threads = [threading.Thread(target=work, args=[leader]) for leader in leaders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(run for own in leased.values() for run in own) == list(range(1, 127))
    assert all(leader in own for leader, own in leased.items())
    assert {run: document["claim"]["leader"] for run, document in by_id(runs).items()} == {
        run: leader for leader, own in leased.items() for run in own
    }


def test_released_runs_have_their_former_documents(runs: Runs, pending_runs: Fill):
    pending_runs([{}] * 4)
    runs.update_many({}, {"$set": {"execution": {"cluster": "alpha"}}})
    before = by_id(runs)
    leases, _ = acquire_leases(runs, 1, [2, 3, 4], cluster="alpha", array_id=4711, task_id=3)
    attempt = {name: "of the attempt" for name in ATTEMPT_FIELDS if name != "claim" and "." not in name}
    runs.update_many({}, {"$set": attempt})
    runs.update_one({"_id": 2}, {"$set": {"status": "INTERRUPTED"}})
    runs.update_one({"_id": 3}, {"$set": {"status": "COMPLETED"}})
    assert leases.release([1, 2, 3, 4]) == 2
    assert statuses(runs) == {1: "PENDING", 2: "INTERRUPTED", 3: "COMPLETED", 4: "PENDING"}
    returned_by = {"returned_by": leases.assignment.token}
    assert runs.find_one({"_id": 1}) == before[1] | returned_by
    assert runs.find_one({"_id": 4}) == before[4] | returned_by


def test_a_leader_of_another_worker_is_not_leased(runs: Runs, pending_runs: Fill):
    pending_runs([{}] * 2)
    acquire_leases(runs, 1, [2])
    leader = runs.find_one({"_id": 1})
    assert leader is not None
    assert Leases(runs, Assignment(runs.name, 1)).acquire(leader, ANY, [2]) == set()


def test_a_lease_follows_the_databases_clock_and_is_renewed(runs: Runs, pending_runs: Fill):
    pending_runs([{}] * 2)
    leases, _ = acquire_leases(runs, 1, [2])
    before, now = by_id(runs), server_time(runs.database)
    remaining = (before[2]["claim"]["lease"] - now).total_seconds()
    assert LEASE_SECONDS - 5 < remaining <= LEASE_SECONDS
    runs.update_one({"_id": 1}, {"$set": {"status": "COMPLETED"}})
    assert leases.renew([1, 2], trained=0.5) == 1
    after = by_id(runs)
    assert after[2]["claim"]["lease"] > before[2]["claim"]["lease"]
    assert after[2]["info"]["trained"] == 0.5
    assert after[1]["claim"] == before[1]["claim"]
