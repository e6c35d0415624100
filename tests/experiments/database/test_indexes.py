"""Indexes: created once, recognised under any name, and used by the queries that they serve."""

from __future__ import annotations

from typing import Any

import pytest

from experiments.database.connection import Document, Runs
from experiments.database.indexes import RUN_INDEXES, ensure_indexes, missing_indexes
from experiments.database.run_collections import ATTEMPTS, WORKERS
from experiments.database.run_status import PENDING, RUNNING
from tests.experiments.worker.claiming import Fill, acquire_leases


def test_indexes_are_created_once(runs: Runs):
    assert missing_indexes(runs.database, runs.name)[runs.name] == list(RUN_INDEXES)
    assert ensure_indexes(runs.database, runs.name)[runs.name] == list(RUN_INDEXES)
    assert ensure_indexes(runs.database, runs.name) == {}
    assert {"_id_", "status_1_batch_id_1__id_1", "claim.token_1_status_1__id_1"} == set(runs.index_information())
    for name in (ATTEMPTS, WORKERS):
        assert len(runs.database[name].index_information()) == 2


def test_an_index_with_another_name_is_recognised(runs: Runs):
    runs.create_index(list(RUN_INDEXES[0]), name="by an administrator")
    assert missing_indexes(runs.database, runs.name)[runs.name] == [RUN_INDEXES[1]]


def stages(plan: Document) -> dict[str, Any]:
    """Stage -> index of a query plan, from its root to its leaf."""
    inner = plan.get("inputStage")
    return {plan["stage"]: plan.get("indexName")} | (stages(inner) if inner else {})


@pytest.mark.parametrize("fields", ["status", "claim"])
def test_queries_use_the_index(runs: Runs, pending_runs: Fill, fields: str):
    pending_runs([{}] * 20)
    leases, _ = acquire_leases(runs, 1, range(2, 6))
    ensure_indexes(runs.database, runs.name)
    queries: dict[str, list[tuple[Document, str, int]]] = {
        "status": [
            ({"status": RUNNING}, "status_1_batch_id_1__id_1", 5),
            ({"status": PENDING, "batch_id": 1}, "status_1_batch_id_1__id_1", 15),
        ],
        "claim": [
            (leases.held(), "claim.token_1_status_1__id_1", 5),
            (leases.held([2, 3]), "claim.token_1_status_1__id_1", 2),
        ],
    }
    for query, index, count in queries[fields]:
        plan = runs.find(query).explain()["queryPlanner"]["winningPlan"]
        assert stages(plan) == {"FETCH": None, "IXSCAN": index}
        assert len(list(runs.find(query))) == count
