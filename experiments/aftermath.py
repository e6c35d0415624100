"""What a worker leaves behind that could not put its runs in order itself."""

from __future__ import annotations

import os
from pathlib import Path

from pymongo.errors import PyMongoError

from experiments.assignment import Assignment
from experiments.claims import FAILED, GIVEN_BACK, RUNNING, Claims
from experiments.database import connect, now
from experiments.errors import UserError

LOG_LINES = 40
"""A failed leader's trace shows so many lines of its log."""


def settle(assignment: Assignment, code: int, *, stopped: bool) -> None:
    """Put in order what the worker of ``assignment``, which ended with ``code``, had claimed; print what was done."""
    try:
        said = put_in_order(Claims(connect()[assignment.collection], assignment), code, stopped=stopped)
    except (PyMongoError, UserError) as error:
        said = f"what the worker had claimed could not be given back and stays RUNNING: {error}"
    print(said, flush=True)


def put_in_order(claims: Claims, code: int, *, stopped: bool) -> str:
    """Give a worker's companions back, and judge its leader; say what was done.

    The leader is given back too if the worker was asked to stop or the database was gone; else it has FAILED, with
    the end of the worker's log as its trace. A negative ``code`` is the signal that ended the worker.
    """
    how = f"with exit code {code}" if code > 0 else f"by signal {-code}"
    token = claims.assignment.token
    leader = {"_id": claims.assignment.leader, "status": RUNNING, "claim.token": {"$in": [token, None]}}
    if stopped or code == os.EX_TEMPFAIL:
        given_back = claims.runs.update_one(leader, GIVEN_BACK).modified_count
    else:
        trace = [f"the worker ended {how}; the end of its log:\n", *_end_of_log(claims)]
        failed = {"status": FAILED, "stop_time": now(), "fail_trace": trace}
        claims.runs.update_one(leader, {"$set": failed})
        given_back = 0
    given_back += claims.give_back()
    return f"the worker ended {how}; {given_back} of its runs are PENDING again"


def _end_of_log(claims: Claims) -> list[str]:
    document = claims.runs.find_one({"_id": claims.assignment.leader}, {"seml.output_file": 1}) or {}
    try:
        with Path(document["seml"]["output_file"]).open(errors="replace") as log:
            return log.readlines()[-LOG_LINES:]
    except (KeyError, OSError):
        return ["(there is no log)\n"]
