"""One Sacred document per run, as seml and omniboard expect it.

The layout is that of :class:`sacred.observers.MongoObserver`, whose own writes suit a process of one run: they
store the whole document, resurrect a cancelled run and recreate a deleted one. Here are only the fields that change;
:mod:`experiments.worker.delivery.delivery` writes them, for many runs at once, to those that are still the worker's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sacred.observers import MongoObserver

from experiments.database.connection import Document, now
from experiments.database.run_status import COMPLETED, FAILED
from experiments.worker.records.compact_result import compact
from walking_noise import Failure, Result


def start_fields(experiment: Mapping[str, Any], host: Mapping[str, Any], command: str) -> Document:
    """The fields that say of a run that it has begun.

    ``experiment`` and ``host`` are Sacred's descriptions of them. The sources stay where SEML keeps them, in
    ``seml.source_files``: if they were repeated here, ``seml delete`` of one run would delete those of its batch.
    """
    return {
        "experiment": {**experiment, "sources": []},
        "format": MongoObserver.VERSION,
        "command": command,
        "host": dict(host),
        "start_time": now(),
        "meta": {"command": command},
        "resources": [],
        "artifacts": [],
        "captured_out": "",
        "info": {},
        "heartbeat": now(),
    }


def end_fields(outcome: Result | Failure, commit: str | None) -> Document:
    """The fields that say how a run ended; ``commit`` is the one that SEML noted."""
    times = {"stop_time": now(), "heartbeat": now()}
    if isinstance(outcome, Failure):
        trace = outcome.trace or outcome.error
        return {"status": FAILED, "fail_trace": [f"{line}\n" for line in trace.splitlines()], **times}
    result = compact(outcome.to_document())
    if commit:
        result["provenance"] = {**result["provenance"], "commit": commit}
    return {"status": COMPLETED, "result": result, **times}
