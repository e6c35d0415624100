"""Nodes on which more workers fail than chance explains."""

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

CHANCE = 0.001
"""A node is named if chance would make any node of the site look so with less than this probability."""


@dataclass(frozen=True)
class Suspect:
    """A node whose workers fail out of proportion.

    Attributes
    ----------
    failed, workers
        Workers there that were lost or had runs that failed, and all workers there.
    failed_elsewhere, workers_elsewhere
        The same of all other nodes together.
    chance
        The one-sided p-value of Fisher's exact test, times the number of nodes.
    """

    node: str
    failed: int
    workers: int
    failed_elsewhere: int
    workers_elsewhere: int
    chance: float


def suspects(database: Database[Document], collections: Sequence[str]) -> list[Suspect]:
    """The nodes that stand out, the worst first. Counted are workers: the runs of one share its fate."""
    among = {"collection": {"$in": list(collections)}}
    bad = {"end": {"$in": [FAILED, LOST]}, **among}
    tokens = {group["_id"] for group in database[ATTEMPTS].aggregate([{"$match": bad}, {"$group": {"_id": "$token"}}])}
    workers: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    for worker in database[WORKERS].find(among, {"host": 1}):
        workers[worker["host"]] += 1
        failed[worker["host"]] += worker["_id"] in tokens
    return out_of_proportion(failed, workers)


def out_of_proportion(failed: Mapping[str, int], workers: Mapping[str, int]) -> list[Suspect]:
    """The nodes that stand out, by their failed workers and all their workers."""
    all_failed, all_workers = sum(failed.values()), sum(workers.values())
    found = []
    for node, here in workers.items():
        bad = failed.get(node, 0)
        bad_elsewhere, elsewhere = all_failed - bad, all_workers - here
        if elsewhere == 0 or bad * elsewhere <= bad_elsewhere * here:
            continue
        table = np.array([[bad, here - bad], [bad_elsewhere, elsewhere - bad_elsewhere]])
        chance = min(1.0, float(fisher_exact(table, alternative="greater").pvalue) * len(workers))
        if chance < CHANCE:
            found.append(Suspect(node, bad, here, bad_elsewhere, elsewhere, chance))
    return sorted(found, key=lambda suspect: suspect.chance)
