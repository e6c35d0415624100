"""Nodes that are excluded from a study, and the refusal of a worker to claim runs there or of a stopped study."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from pymongo.database import Database

from experiments import slurm
from experiments.database.connection import Document, Runs
from experiments.database.run_status import PENDING, RUNNING
from experiments.worker.assignment import Assignment
from experiments.worker.failures.first_failures import Stop, stop_of
from experiments.worker.failures.suspect_nodes import suspects
from experiments.worker.leases import RESTAGED, UNCLAIMED, release_update
from experiments.worker.records.study_record import pack_limits

NODE_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?")
"""A name that can be an argument of sbatch: neither an option nor a list or range of nodes."""


def excluded_nodes(database: Database[Document], collection: str) -> dict[str, str]:
    """The nodes that train no run of a study, each with the reason.

    They are suspects, or a node that stopped by first failures. A text that cannot be the name of a node is left out.
    """
    return _excluded(database, collection, stop_of(database, collection))


def _excluded(database: Database[Document], collection: str, stop: Stop | None) -> dict[str, str]:
    reasons = {stop.node: str(stop)} if stop and stop.node else {}
    reasons |= {suspect.node: str(suspect) for suspect in suspects(database, [collection])}
    return {node: reason for node, reason in reasons.items() if NODE_NAME.fullmatch(node)}


def exclusion_remedy(collection: str) -> str:
    """The way on with an excluded node."""
    return (
        f"`walking-noise start {collection}` excludes this node; after its repair run `walking-noise failures "
        f"{collection} --forget`"
    )


def pack_limit_text(collection: str, device: str, size: int) -> str:
    """The limit of packs on a type of device after memory ran out, and the command that ends it."""
    return (
        f"{collection}: packs on {device} have at most {size:,} networks, because larger ones ran out of memory; with "
        f"more memory run `walking-noise failures {collection} --forget`"
    )


def why_stopped(database: Database[Document], collection: str, node: str | None = None) -> str | None:
    """The reason why no worker, or none on ``node``, claims runs of a study, and the way on; None if they do."""
    return _why_stopped(database, collection, stop_of(database, collection), node)


def _why_stopped(database: Database[Document], collection: str, stop: Stop | None, node: str | None) -> str | None:
    if stop and stop.node is None:
        return f"{stop}; {stop.remedy}"
    excluded = _excluded(database, collection, stop) if node else {}
    return f"{excluded[node]}; {exclusion_remedy(collection)}" if node in excluded else None


def refuse_claim(runs: Runs, assignment: Assignment) -> str | None:
    """The reason why a worker on this machine must not claim runs; its leader is then PENDING again. None: it may.

    If the study is stopped on all nodes, all waiting runs become STAGED, so that its other tasks find none and end.
    Otherwise, outside Slurm, only those do that wait for ``start --local``, which would else start workers for ever.
    """
    database, name = runs.database, runs.name
    stop = stop_of(database, name)
    everywhere = stop is not None and stop.node is None
    reason = _why_stopped(database, name, stop, slurm.node_name())
    if reason:
        unleased = {"status": RUNNING, "claim.token": {"$in": [assignment.token, None]}}
        runs.update_one({"_id": assignment.leader, **unleased}, release_update(None))
        if everywhere or "SLURM_ARRAY_TASK_ID" not in os.environ:
            local = {} if everywhere else {"slurm.array_id": {"$exists": False}}
            runs.update_many({"status": PENDING, **UNCLAIMED, **local}, RESTAGED)
    return reason


def consequences(database: Database[Document], collections: Iterable[str]) -> list[str]:
    """The stops of studies, the excluded nodes and the limits of packs, each with the reason and the way on."""
    stopped = [(name, why_stopped(database, name)) for name in collections]
    return [
        *(reason for _, reason in stopped if reason),
        *(
            f"{reason}; {exclusion_remedy(name)}"
            for name, _ in stopped
            for reason in excluded_nodes(database, name).values()
        ),
        *(
            pack_limit_text(name, device, size)
            for name, _ in stopped
            for device, size in pack_limits(database, name).items()
        ),
    ]
