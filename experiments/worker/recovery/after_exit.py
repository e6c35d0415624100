"""What a worker leaves behind that could not put its runs in order itself."""

from __future__ import annotations

import signal
from pathlib import Path

from pymongo.errors import PyMongoError

from experiments.database.connection import connect, now
from experiments.database.run_collections import ATTEMPTS, WORKERS
from experiments.database.run_status import FAILED, RUNNING
from experiments.errors import UserError
from experiments.worker.assignment import Assignment
from experiments.worker.exit_codes import DATABASE_GONE
from experiments.worker.leases import Leases, release_update
from experiments.worker.records import history
from experiments.worker.records.history import FIELDS, Attempt, record_attempts, record_lost_workers

LOG_LINES = 40
"""A failed leader's trace shows so many lines of its log."""
MOST_KILLED = 10
"""A leader whose workers were killed so often has FAILED: it may be what kills them."""


def recover_after_exit(assignment: Assignment, code: int, *, stopped: bool) -> None:
    """Put in order what the worker of ``assignment``, which ended with ``code``, had claimed; print what was done."""
    try:
        said = recover_runs(Leases(connect()[assignment.collection], assignment), code, stopped=stopped)
    except (PyMongoError, UserError) as error:
        said = (
            f"what the worker had claimed stays RUNNING until `walking-noise rescue {assignment.collection}`; "
            f"it could not be given back: {error}"
        )
    print(said, flush=True)


def recover_runs(leases: Leases, code: int, *, stopped: bool) -> str:
    """Give a worker's companions back, and judge its leader; say what was done.

    The leader is given back too if the worker was asked to stop, was killed from outside or lost the database; else
    it has FAILED, with the end of the worker's log as its trace. A negative ``code`` is the signal that ended the
    worker.
    """
    how = f"the worker ended with exit code {code}" if code > 0 else f"the worker ended by signal {-code}"
    runs, token, leader = leases.runs, leases.assignment.token, leases.assignment.leader
    blameless = stopped or code == DATABASE_GONE or (code == -signal.SIGKILL and _killed(leases) < MOST_KILLED)
    held = {"_id": leader, "status": RUNNING, "claim.token": {"$in": [token, None]}}
    left = list(runs.find({"status": RUNNING, "$or": [{"claim.token": token}, held]}, FIELDS))
    attempts = {run["_id"]: Attempt(run["_id"], history.LOST, how) for run in left}
    if not blameless:
        trace = [f"{how}; the end of its log:\n", *_end_of_log(leases)]
        attempts[leader] = Attempt(leader, history.FAILED, how, tuple(map(str.rstrip, trace)))
        runs.update_one(held, {"$set": {"status": FAILED, "stop_time": now(), "fail_trace": trace}})
    record_attempts(runs, attempts.values(), left)
    given_back = runs.update_one(held, release_update(token)).modified_count + leases.release()
    record_lost_workers(runs, [token], how)
    return f"{how}; {given_back} of its runs are PENDING again"


def _killed(leases: Leases) -> int:
    """How many workers of this leader were killed before."""
    workers = leases.runs.database[WORKERS]
    attempts = leases.runs.database[ATTEMPTS].find(
        {"collection": leases.runs.name, "run": leases.assignment.leader, "end": history.LOST}, {"token": 1}
    )
    led = {"_id": {"$in": [attempt["token"] for attempt in attempts]}, "leader": leases.assignment.leader}
    return workers.count_documents(led)


def _end_of_log(leases: Leases) -> list[str]:
    document = leases.runs.find_one({"_id": leases.assignment.leader}, {"seml.output_file": 1}) or {}
    try:
        with Path(document["seml"]["output_file"]).open(errors="replace") as log:
            return log.readlines()[-LOG_LINES:]
    except (KeyError, OSError):
        return ["(there is no log)\n"]
