"""Nodes on which significantly more workers fail than elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pymongo.database import Database
from scipy.stats import fisher_exact

from experiments.database.connection import Document
from experiments.database.run_collections import ATTEMPTS, WORKERS
from experiments.worker.records.history import FAILED, LOST

MAX_P_VALUE = 0.001
"""Largest p-value of a suspect node, corrected for the number of nodes (Bonferroni)."""


@dataclass(frozen=True)
class Suspect:
    """A node with a significantly larger share of failed workers, with lost or failed runs, than all other nodes.

    ``p_value`` is the one-sided p-value of Fisher's exact test, times the number of nodes.
    """

    node: str
    failed: int
    workers: int
    failed_elsewhere: int
    workers_elsewhere: int
    p_value: float


def suspects(database: Database[Document], collections: Sequence[str]) -> list[Suspect]:
    """The suspect nodes, the smallest p-value first.

    Workers are counted, not runs, since the runs of one worker do not fail independently.
    """
    of_collections = {"collection": {"$in": list(collections)}}
    bad_end = {"end": {"$in": [FAILED, LOST]}, **of_collections}
    groups = database[ATTEMPTS].aggregate([{"$match": bad_end}, {"$group": {"_id": "$token"}}])
    tokens = {group["_id"] for group in groups}
    workers: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    for worker in database[WORKERS].find(of_collections, {"host": 1}):
        workers[worker["host"]] += 1
        failed[worker["host"]] += worker["_id"] in tokens
    return find_suspects(failed, workers)


def find_suspects(failed: Mapping[str, int], workers: Mapping[str, int]) -> list[Suspect]:
    """The suspect nodes, from the number of failed workers and of all workers on each node."""
    all_failed, all_workers = sum(failed.values()), sum(workers.values())
    suspects = []
    for node, here in workers.items():
        failed_here = failed.get(node, 0)
        failed_elsewhere, elsewhere = all_failed - failed_here, all_workers - here
        if elsewhere == 0 or failed_here * elsewhere <= failed_elsewhere * here:
            continue
        table = np.array([[failed_here, here - failed_here], [failed_elsewhere, elsewhere - failed_elsewhere]])
        p_value = min(1.0, float(fisher_exact(table, alternative="greater").pvalue) * len(workers))
        if p_value < MAX_P_VALUE:
            suspects.append(Suspect(node, failed_here, here, failed_elsewhere, elsewhere, p_value))
    return sorted(suspects, key=lambda suspect: suspect.p_value)
