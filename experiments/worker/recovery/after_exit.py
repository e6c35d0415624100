"""Recovery of the runs of a worker that has just ended, by its supervisor."""

from __future__ import annotations

import signal
from pathlib import Path

from pymongo.errors import PyMongoError

from experiments.database.connection import connect, now
from experiments.database.run_collections import ATTEMPTS, WORKERS
from experiments.database.run_status import FAILED, RUNNING
from experiments.errors import UserError
from experiments.terminal.text_table import are_in_words
from experiments.worker.assignment import Assignment
from experiments.worker.exit_codes import DATABASE_UNREACHABLE
from experiments.worker.leases import Leases, release_update
from experiments.worker.records import history
from experiments.worker.records.history import FIELDS, Attempt, record_attempts, record_lost_workers
from experiments.worker.recovery.out_of_memory import KILLED_FOR_MEMORY, TOO_LARGE, had_smallest_pack, halve_packs

LOG_LINES = 40
"""The number of last lines of the log that become the traceback of a failed leader."""
MOST_KILLED = 10
"""If this number of workers was lost before, the leader of a killed worker is set to FAILED: it may be the cause."""


def recover_after_exit(assignment: Assignment, code: int, *, stopped: bool, for_memory: bool = False) -> None:
    """Recover the runs of the worker of ``assignment`` after its exit with ``code``, and print the outcome.

    ``stopped``: whether the worker was asked to stop; ``for_memory``: whether the kernel has killed it for memory.
    """
    try:
        leases = Leases(connect()[assignment.collection], assignment)
        message = recover_runs(leases, code, stopped=stopped, for_memory=for_memory)
    except (PyMongoError, UserError) as error:
        message = (
            "the worker's runs could not be released and stay RUNNING until you run `walking-noise rescue "
            f"{assignment.collection}` ({error})"
        )
    print(message, flush=True)


def recover_runs(leases: Leases, code: int, *, stopped: bool, for_memory: bool = False) -> str:
    """Release the companions of a worker, and release its leader or set it to FAILED; return a message.

    The leader is released if the worker was asked to stop or could not reach the database, or was killed by SIGKILL and
    fewer than :data:`MOST_KILLED` of its workers were lost before. Otherwise it is set to FAILED, with the last lines
    of the worker's log as its traceback. If the worker was killed for memory, later packs have half the size; a leader
    whose packs had one network is set to FAILED. A negative ``code`` is the signal that killed the worker.
    """
    reason = f"the worker ended with exit code {code}" if code > 0 else f"the worker ended by signal {-code}"
    if for_memory:
        reason += f" ({KILLED_FOR_MEMORY})"
    runs, token, leader = leases.runs, leases.assignment.token, leases.assignment.leader
    too_large = for_memory and had_smallest_pack(runs, token)
    killed_seldom = code == -signal.SIGKILL and _killed_workers(leases) < MOST_KILLED
    blameless = stopped or code == DATABASE_UNREACHABLE or (killed_seldom and not too_large)
    leader_filter = {"_id": leader, "status": RUNNING, "claim.token": {"$in": [token, None]}}
    running = list(runs.find({"status": RUNNING, "$or": [{"claim.token": token}, leader_filter]}, FIELDS))
    attempts = {run["_id"]: Attempt(run["_id"], history.LOST, reason) for run in running}
    if not blameless:
        trace = [f"{TOO_LARGE}\n"] if too_large else [f"{reason}; the end of its log:\n", *_end_of_log(leases)]
        attempts[leader] = Attempt(leader, history.FAILED, reason, tuple(map(str.rstrip, trace)))
        runs.update_one(leader_filter, {"$set": {"status": FAILED, "stop_time": now(), "fail_trace": trace}})
    record_attempts(runs, attempts.values(), running)
    released = runs.update_one(leader_filter, release_update(token)).modified_count + leases.release()
    record_lost_workers(runs, [token], reason)
    limits = halve_packs(runs, [token]) if for_memory else []
    return "; ".join([reason, *limits, f"{are_in_words(released, 'run')} PENDING again"])


def _killed_workers(leases: Leases) -> int:
    """The number of workers with this leader that were lost before."""
    workers = leases.runs.database[WORKERS]
    attempts = leases.runs.database[ATTEMPTS].find(
        {"collection": leases.runs.name, "run": leases.assignment.leader, "end": history.LOST}, {"token": 1}
    )
    matching = {"_id": {"$in": [attempt["token"] for attempt in attempts]}, "leader": leases.assignment.leader}
    return workers.count_documents(matching)


def _end_of_log(leases: Leases) -> list[str]:
    """The last lines of the leader's log."""
    document = leases.runs.find_one({"_id": leases.assignment.leader}, {"seml.output_file": 1}) or {}
    try:
        with Path(document["seml"]["output_file"]).open(errors="replace") as log:
            return log.readlines()[-LOG_LINES:]
    except (KeyError, OSError):
        return ["(there is no log)\n"]
