"""Workers that a test disturbs: their start, and results to compare with those of undisturbed runs."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any

from experiments.database.connection import Document, Runs
from tests.experiments.shell import ROOT, Shell
from walking_noise import RunConfig, train

EPOCHS = 20
"""Epochs of a training that can be disturbed: several seconds on one core."""
OPTIONS = {
    "WALKING_NOISE_CHECKPOINT_SECONDS": "0.2",
    "WALKING_NOISE_LEASE_SECONDS": "3",
    "WALKING_NOISE_DEVICE": "cpu",
}


@contextlib.contextmanager
def worker(shell: Shell, runs: Runs, **options: str) -> Iterator[subprocess.Popen[str]]:
    """The process that SEML starts for run 1; all its processes are killed at the end."""
    run = runs.find_one_and_update({"_id": 1}, {"$set": {"status": "RUNNING", "execution.cluster": "local"}})
    assert run is not None
    settings = [f"{name}={value!r}" for name, value in run["config"].items()]
    assignment = [f"db_collection={runs.name!r}", "overwrite=1", "--force"]
    command = ("python", str(ROOT / "experiments" / "train.py"), "with", *settings, *assignment)
    process = shell.start(*command, cores=1, **OPTIONS | options)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def until(condition: Any, seconds: float = 200) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def results(runs: Runs) -> list[Document]:
    """The results in the order of the runs, without the fields that depend on the worker."""
    return [_numbers(run["result"]) for run in runs.find({"status": "COMPLETED"}).sort("_id", 1)]


def undisturbed(runs: Runs) -> list[Document]:
    """The results of the runs, trained in this process. Several tests have the same runs."""
    return _train(*(RunConfig.from_document(run["config"]) for run in runs.find().sort("_id", 1)))


@functools.cache
def _train(*configs: RunConfig) -> list[Document]:
    return [_numbers(result.to_document()) for result in train(configs, processes=1)]


def _numbers(result: Document) -> Document:
    return {name: value for name, value in result.items() if name not in ("seconds", "pack_size", "provenance")}
