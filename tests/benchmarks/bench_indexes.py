"""Speed-up by the indexes of the runs in the embedded database, with 20,000 runs: ``make bench``."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from experiments.database.connection import Document, Runs
from experiments.database.embedded_server import DATABASE, EmbeddedDatabase
from experiments.database.indexes import ensure_indexes
from experiments.worker.companion_runs import companion_filter
from tests.experiments.shell import Shell, write_grid
from walking_noise import RunConfig

RUNS, BATCHES, COMPLETED, CLAIMED, PACK = 20_000, 2, 15_000, 500, 256
ARRAY = 1001
ROUNDS = 3


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Runs]:
    """Runs as SEML adds them: most are completed, two packs are running, the rest is pending."""
    database = EmbeddedDatabase(tmp_path / "database")
    database.start()
    assert database.access is not None
    Shell(database.folder).run("seml", "one", "add", str(write_grid(tmp_path, fixed={"noise.std": 0.5})))
    with database.access.client() as client:
        staged = client[DATABASE]["one"].find_one()
        assert staged is not None
        many = client[DATABASE]["many"]
        for first in range(1, RUNS + 1, 1000):
            many.insert_many([run_like(staged, number) for number in range(first, first + 1000)])
        many.create_index("config_hash")  # as SEML does
        yield many
    database.stop()


def run_like(staged: Document, number: int) -> Document:
    run = copy.deepcopy(staged) | {"_id": number, "batch_id": 1 + number * BATCHES // (RUNS + 1)}
    run["config_hash"] = f"{number:032x}"
    run["status"] = "COMPLETED" if number <= COMPLETED else "RUNNING" if number <= COMPLETED + CLAIMED else "PENDING"
    if run["status"] != "PENDING":
        run["claim"] = {"token": f"token {number // PACK}", "leader": number // PACK * PACK}
    return run


def median_seconds(work: Callable[[], object]) -> float:
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def queries(runs: Runs) -> dict[str, Callable[[], object]]:
    """Queries of SEML and of workers, by name."""
    leader = runs.find_one({"_id": RUNS})
    assert leader is not None
    of_companions = companion_filter(leader, RunConfig.from_document(leader["config"]))
    ids = list(range(COMPLETED - ARRAY // 2, COMPLETED + CLAIMED + ARRAY // 2))
    of_worker = {"status": "RUNNING", "claim.token": f"token {(COMPLETED + PACK) // PACK}"}
    span = {"_id": {"$gte": COMPLETED, "$lte": COMPLETED + CLAIMED}}

    def claim() -> None:
        query = {"_id": {"$in": ids}, "status": {"$in": ["PENDING"]}}
        run = runs.find_one_and_update(query, {"$set": {"status": "RUNNING"}}, {"_id": 1})
        assert run is not None
        runs.update_one(run, {"$set": {"status": "PENDING"}})

    return {
        "SEML's claim of one of an array's runs": claim,
        "a worker's companions": lambda: list(runs.find(of_companions, {"config": 1}).sort("_id", 1)),
        "a heartbeat": lambda: runs.update_many({**span, **of_worker}, {"$set": {"heartbeat": 0}}),
        "the runs of a worker": lambda: list(runs.find(of_worker, {"_id": 1})),
        "all running runs": lambda: list(runs.find({"status": "RUNNING"}, {"claim": 1})),
        "the number of pending runs": lambda: runs.count_documents({"status": "PENDING"}),
        "all counted by status": lambda: list(runs.aggregate([{"$group": {"_id": "$status", "n": {"$sum": 1}}}])),
    }


def test_queries_with_and_without_indexes(runs: Runs):
    timed = queries(runs)
    without = {name: median_seconds(query) for name, query in timed.items()}
    started = time.perf_counter()
    ensure_indexes(runs.database, runs.name)
    print(f"\n{RUNS:,} runs; indexes made in {time.perf_counter() - started:.1f} s")
    for name, query in timed.items():
        after = median_seconds(query)
        print(f"{name:40} {without[name]:7.3f} s -> {after:7.3f} s, {without[name] / after:6.1f} times")
