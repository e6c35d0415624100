"""Workers that were killed for memory: later workers train packs of half the size, and no node is blamed."""

from __future__ import annotations

import datetime
from collections.abc import Collection

from experiments.database.connection import Document, Runs, server_time
from experiments.database.run_collections import WORKERS
from experiments.worker.records.study_record import limit_pack
from walking_noise.runtime.sizing.memory_limits import half_of

KILLED_FOR_MEMORY = "killed for memory"
QUEUE_SECONDS = 300.0
"""Time for which Slurm's queue shows an ended task, by Slurm's default of ``MinJobAge``."""
TOO_LARGE = "killed for memory with packs of one network: request more memory (`mem` in sbatch_options)"


def halve_packs(runs: Runs, tokens: Collection[str]) -> list[str]:
    """Halve the packs of workers that were killed for memory, once for each; return a message for each new limit."""
    workers, messages = runs.database[WORKERS], []
    not_yet: Document = {"_id": {"$in": list(tokens)}, "pack": {"$exists": True}, "out_of_memory": {"$exists": False}}
    for worker in workers.find(not_yet):
        size, device = worker["pack"]["size"], worker["device"] if worker["gpu"] else "cpu"
        limit_pack(runs.database, runs.name, worker["pack"]["key"], device, half_of(size))
        workers.update_one({"_id": worker["_id"]}, {"$set": {"out_of_memory": True}, "$unset": {"fault": ""}})
        messages.append(
            f"{KILLED_FOR_MEMORY}: packs of {size} networks on {device}; from now on at most {half_of(size)}"
        )
    return messages


def had_smallest_pack(runs: Runs, token: str | None) -> bool:
    """Whether the packs of a worker cannot be halved."""
    worker = runs.database[WORKERS].find_one({"_id": token}, {"pack": 1}) or {}
    return bool(worker.get("pack", {}).get("size") == 1)


def killed_in_tasks(runs: Runs, cluster: str | None, tasks: Collection[tuple[int, int]]) -> list[str]:
    """The tokens of lost workers of Slurm tasks, if no kill for memory is recorded for them yet."""
    lost = {"end": {"$regex": "^(Slurm task has ended|the worker ended by signal 9)"}}
    found = runs.database[WORKERS].find({**_unexplained(runs, cluster), **lost}, {"slurm": 1}) if tasks else ()
    return [one["_id"] for one in found if (one["slurm"]["array_id"], one["slurm"]["task_id"]) in tasks]


def recently_killed(runs: Runs, cluster: str | None) -> bool:
    """Whether a worker was killed within the last minutes, for a reason that Slurm's queue may still show."""
    since = server_time(runs.database) - datetime.timedelta(seconds=QUEUE_SECONDS)
    killed = {"end": {"$regex": "^the worker ended by signal 9"}, "ended": {"$gt": since}}
    return runs.database[WORKERS].find_one({**_unexplained(runs, cluster), **killed}, {"_id": 1}) is not None


def _unexplained(runs: Runs, cluster: str | None) -> Document:
    """The filter of the workers in tasks of a cluster for which no kill for memory is recorded."""
    return {"collection": runs.name, "slurm.cluster": cluster, "out_of_memory": {"$exists": False}}
