"""Workers that a test disturbs: their start, and results to compare with those of undisturbed runs."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from experiments.database.connection import Document, Runs
from tests.experiments.shell import ROOT, Shell
from walking_noise import RunConfig, train

HELD_EPOCHS, EPOCHS = 3, 6
"""Epochs after which a training is held until its test lets it go on, and all its epochs."""
OPTIONS = {
    "WALKING_NOISE_CHECKPOINT_SECONDS": "0.001",
    "WALKING_NOISE_LEASE_SECONDS": "3",
    "WALKING_NOISE_DEVICE": "cpu",
}


class HeldWorker:
    """A worker whose training is held after some epochs, so that a test cannot miss it."""

    def __init__(self, process: subprocess.Popen[str], hold: Path) -> None:
        self.process, self._hold = process, hold

    def go_on(self) -> None:
        """Let the training go on."""
        self._hold.unlink()

    def until(self, condition: Callable[[], object]) -> None:
        """Wait for the condition; fail if the worker ends before."""
        until(condition, self.process)

    def end(self, code: int = 0) -> str:
        """Wait for the end of the worker, and return its output."""
        output, _ = self.process.communicate(timeout=200)
        assert self.process.returncode == code, output
        return output


@contextlib.contextmanager
def worker(
    shell: Shell, runs: Runs, *prefix: str, run: int = 1, held: bool = True, **options: str
) -> Iterator[HeldWorker]:
    """The process that SEML starts for a run; all its processes are killed at the end."""
    train = str(ROOT / "experiments" / "train.py")
    with tempfile.TemporaryDirectory() as folder:
        hold = Path(folder) / "hold"
        if held:
            hold.touch()
        command = (*prefix, "python", str(Path(__file__).with_name("held_training.py")), train, *assigned(runs, run))
        options = {"HOLD": str(hold), "HOLD_EPOCHS": str(HELD_EPOCHS), **OPTIONS, **options}
        process = shell.start(*command, cores=1, executed=False, **options)
        try:
            yield HeldWorker(process, hold)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def assigned(runs: Runs, run: int = 1) -> list[str]:
    """The arguments by which SEML assigns a run, which it has set to RUNNING."""
    document = runs.find_one_and_update({"_id": run}, {"$set": {"status": "RUNNING", "execution.cluster": "local"}})
    assert document is not None
    settings = [f"{name}={value!r}" for name, value in document["config"].items()]
    return ["with", *settings, f"db_collection={runs.name!r}", f"overwrite={run}", "--force"]


def complete(shell: Shell, runs: Runs, folder: Path, first: int = 1, **options: str) -> None:
    """Train all STAGED runs as SEML does when it starts the first one; their logs go to the folder."""
    for run in runs.find({"status": "STAGED"}):
        file = str(folder / f"{run['_id']}.out")
        runs.update_one({"_id": run["_id"]}, {"$set": {"status": "PENDING", "seml.output_file": file}})
    with worker(shell, runs, run=first, held=False, **options) as one:
        one.end()


def until(condition: Callable[[], object], process: subprocess.Popen[str] | None = None, seconds: float = 200) -> None:
    """Wait for the condition; fail if the process ends before."""
    deadline = time.monotonic() + seconds
    while not condition():
        if process is not None and process.poll() is not None and not condition():
            raise AssertionError(process.communicate()[0])
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
