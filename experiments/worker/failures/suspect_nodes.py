"""Nodes on which significantly more workers fail than elsewhere, for causes that belong to a machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pymongo.database import Database

from experiments.database.connection import Document
from experiments.database.run_collections import WORKERS
from experiments.worker.records.study_record import forgotten_until

MAX_P_VALUE = 0.001
"""Largest p-value of a suspect node, corrected for the number of nodes (Bonferroni)."""


@dataclass(frozen=True)
class Suspect:
    """A node with a significantly larger share of failed workers than all other nodes.

    ``p_value`` is the one-sided p-value of Fisher's exact test, times the number of nodes. ``fault`` is the most
    frequent cause of the failures on the node.
    """

    node: str
    failed: int
    workers: int
    failed_elsewhere: int
    workers_elsewhere: int
    p_value: float
    fault: str = ""

    def __str__(self) -> str:
        return (
            f"node {self.node}: {self.failed} of {self.workers} workers failed ({self.fault}), on all other nodes "
            f"{self.failed_elsewhere} of {self.workers_elsewhere} (p = {self.p_value:.0e})"
        )


def suspects(database: Database[Document], collections: Sequence[str]) -> list[Suspect]:
    """The suspect nodes, the smallest p-value first.

    Workers are counted, not runs, since the runs of one worker do not fail independently. A worker has failed if it
    was lost, or if a run of it ended by a cause that belongs to the machine
    (:func:`experiments.worker.records.history.record_attempts`). Forgotten failures do not count.
    """
    workers: Counter[str] = Counter()
    faults: dict[str, Counter[str]] = {}
    for name in collections:
        since = forgotten_until(database, name)
        counted = {"collection": name, **({"started": {"$gt": since}} if since else {})}
        for worker in database[WORKERS].find(counted, {"host": 1, "fault": 1}):
            workers[worker["host"]] += 1
            if "fault" in worker:
                faults.setdefault(worker["host"], Counter())[worker["fault"]] += 1
    return find_suspects(faults, workers)


def find_suspects(faults: Mapping[str, Counter[str]], workers: Mapping[str, int]) -> list[Suspect]:
    """The suspect nodes, from the causes of the failed workers and the number of all workers on each node."""
    all_failed, all_workers = sum(counts.total() for counts in faults.values()), sum(workers.values())
    suspects = []
    for node, counts in faults.items():
        failed, here = counts.total(), workers[node]
        failed_elsewhere, elsewhere = all_failed - failed, all_workers - here
        if elsewhere == 0 or failed * elsewhere <= failed_elsewhere * here:
            continue
        from scipy.stats import fisher_exact  # its import would take a second of every worker's start

        table = np.array([[failed, here - failed], [failed_elsewhere, elsewhere - failed_elsewhere]])
        p_value = min(1.0, float(fisher_exact(table, alternative="greater").pvalue) * len(workers))
        if p_value < MAX_P_VALUE:
            fault = counts.most_common(1)[0][0]
            suspects.append(Suspect(node, failed, here, failed_elsewhere, elsewhere, p_value, fault))
    return sorted(suspects, key=lambda suspect: suspect.p_value)
