"""Sacred document of a run, as SEML and Omniboard expect it.

The layout is that of :class:`sacred.observers.MongoObserver`. The observer itself is made for a process with one run.
It writes the whole document, sets a cancelled run to RUNNING again and recreates a deleted one. This module returns
only the fields that change. :mod:`experiments.worker.delivery.delivery` writes them for many runs at once, and only to
runs that the worker still holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.database.connection import Document, now
from experiments.database.run_status import COMPLETED, FAILED
from walking_noise import Failure, Result

COMPACT_ABOVE_EPOCHS = 50
"""The training loss of more epochs than this is stored as an array. A shorter one would save little."""


def start_fields(experiment: Mapping[str, Any], host: Mapping[str, Any], command: str) -> Document:
    """The fields of a run's start; ``experiment`` and ``host`` are Sacred's descriptions of both.

    The field ``sources`` is empty. SEML stores the sources in ``seml.source_files``. If they were repeated here,
    ``seml delete`` of one run would delete the source files of its whole batch.
    """
    from sacred.observers import MongoObserver

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
    """The fields of a run's end; ``commit`` comes from :func:`experiments.database.source_files.commit_of`."""
    times = {"stop_time": now(), "heartbeat": now()}
    if isinstance(outcome, Failure):
        trace = outcome.trace or outcome.error
        return {"status": FAILED, "fail_trace": [f"{line}\n" for line in trace.splitlines()], **times}
    result = compact(outcome.to_document())
    if commit:
        result["provenance"] = {**result["provenance"], "commit": commit}
    return {"status": COMPLETED, "result": result, **times}


def compact(result: dict[str, Any]) -> dict[str, Any]:
    """Store a long training loss in Sacred's format of NumPy arrays.

    ``seml.get_results`` and ``sacred.serializer.restore`` read it back as a NumPy array of float32. No precision is
    lost, because training computes the losses of epochs in float32. None, for a loss that was not finite, becomes NaN.
    MongoDB needs 12.7 bytes for each number of a list, mostly for its index, and 5.5 bytes in this format.
    """
    from sacred.serializer import flatten

    loss = result["training_loss"]
    if len(loss) <= COMPACT_ABOVE_EPOCHS:
        return result
    stored: dict[str, Any] = flatten(np.array(loss, np.float32))  # type: ignore[no-untyped-call]
    return {**result, "training_loss": stored}
