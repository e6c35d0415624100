"""Time and memory of the commands that read a study of 100,000 documents in the embedded database: ``make bench``.

The documents are copies of one completed run. Their statuses are changed to 60,000 completed, 2,000 failed, 2,000
running and 36,000 pending runs of 214 workers. Each command is timed in a new process, with the indexes and without
them. Memory is the peak of the command, and the peak of the server since its start.
"""

from __future__ import annotations

import copy
import datetime
import time
from collections.abc import Iterator
from pathlib import Path

import bson
import pytest
from pymongo import MongoClient

from experiments.database.connection import Document, Runs, server_time
from experiments.database.embedded_server import DATABASE, EmbeddedDatabase
from experiments.database.indexes import ensure_indexes
from experiments.database.run_collections import WORKERS
from experiments.worker.companion_runs import companion_filter, pending_candidates
from tests.experiments.shell import Shell, choice, write_grid
from tests.experiments.worker.past import OUT_OF_MEMORY
from walking_noise import RunConfig

DOCUMENTS = 100_000
COMPLETED, FAILED, RUNNING = int(0.6 * DOCUMENTS), int(0.02 * DOCUMENTS), int(0.02 * DOCUMENTS)
PER_WORKER = 300
COMMANDS = {
    "watch --once": ("walking-noise", "watch", "study", "--once"),
    "failures": ("walking-noise", "failures", "study"),
    "hours": ("walking-noise", "hours", "study"),
    "checkpoints clean --dry-run": ("walking-noise", "checkpoints", "clean", "--dry-run", "--folder", "{state}"),
    "analysis: reading": ("python", "-c", "from analysis.runs.documents import *\n"
                          "for _ in from_database(['study']).documents: pass"),
}  # fmt: skip

LAUNCHER = """
import resource, subprocess, sys, time
started = time.monotonic()
code = subprocess.run(sys.argv[1:]).returncode
memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
print(f"{time.monotonic() - started:.1f} {memory} {code}")
"""
"""Starts a command from a small process, since the peak memory of a new process includes that of its parent."""


@pytest.fixture
def database(tmp_path: Path) -> Iterator[EmbeddedDatabase]:
    database = EmbeddedDatabase(tmp_path / "database")
    database.start()
    yield database
    database.stop()


def completed_run(shell: Shell, client: MongoClient[Document], folder: Path) -> Document:
    grid = write_grid(folder, fixed={"training.epochs": 20, "model.batch_norm": True}, grid={"noise.std": choice(0.1)})
    shell.run("seml", "real", "add", str(grid))
    shell.run("seml", "real", "start", "--local")
    document = client[DATABASE]["real"].find_one({"status": "COMPLETED"})
    assert document is not None
    return document


def fill(runs: Runs, completed: Document) -> None:
    now = server_time(runs.database)
    batch: list[Document] = []
    workers: dict[str, int] = {}
    for number in range(1, DOCUMENTS + 1):
        document = copy.deepcopy(completed) | {"_id": number}
        document["config"] |= {"seed": number // 100}
        document["config"]["noise"]["std"] = number % 100 / 10
        token = f"worker{number // PER_WORKER}"
        document["claim"]["token"] = token
        if number > COMPLETED:
            del document["result"], document["stop_time"]
        if COMPLETED < number <= COMPLETED + FAILED:
            trace = [f"{line.format(run=number, host='n01')}\n" for line in OUT_OF_MEMORY]
            document |= {"status": "FAILED", "fail_trace": [*trace[:-1], f"{trace[-1][:-1]} {number % 3 * 'x'}\n"]}
        elif COMPLETED + FAILED < number <= COMPLETED + FAILED + RUNNING:
            document |= {"status": "RUNNING"}
        elif number > COMPLETED + FAILED + RUNNING:
            for name in ("claim", "start_time", "heartbeat", "info", "host", "experiment", "format", "command", "meta"):
                document.pop(name, None)
            document |= {"status": "PENDING", "execution": {"cluster": "local"}}
        if document["status"] != "PENDING":
            workers.setdefault(token, number)
        batch.append(document)
        if len(batch) == 1000:
            runs.insert_many(batch, ordered=False)
            batch.clear()
    runs.database[WORKERS].insert_many(
        {
            "_id": token, "collection": runs.name, "leader": leader, "runs": PER_WORKER, "host": f"n{leader % 30:02}",
            "device": "a GPU", "gpu": True, "resumed": 0.0, "trained": 1.0, "kept": 1.0, "completed": PER_WORKER,
            "failed": 0, "returned": 0, "started": now - datetime.timedelta(hours=1), "beat": now, "ended": now,
            "end": "done", "version": "1.0",
        }
        for token, leader in workers.items()
    )  # fmt: skip


def measured(shell: Shell, *command: str) -> str:
    """Seconds and peak memory in MB of a command, or the reason why it failed."""
    with shell.start("python", "-c", LAUNCHER, *command, executed=True) as process:
        printed, _ = process.communicate()
    *output, numbers = printed.splitlines()
    seconds, memory, code = numbers.split()
    return f"{seconds} s, {memory} MB" if code == "0" else f"failed after {seconds} s: {output[-1]}"


def peak_of_server(database: EmbeddedDatabase) -> int:
    status = Path(f"/proc/{database.server.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def companions_of_a_leader(runs: Runs) -> float:
    leader = runs.find_one({"status": "PENDING"})
    assert leader is not None
    started = time.monotonic()
    config = RunConfig.from_dict({"training.epochs": 20, "model.batch_norm": True, "noise.std": 0.1})
    assert sum(1 for _ in pending_candidates(runs, companion_filter(leader, config))) > 0
    return time.monotonic() - started


def test_commands_on_many_documents(database: EmbeddedDatabase, tmp_path: Path):
    shell = Shell(database.folder)
    assert database.access is not None
    with database.access.client() as client:
        runs = client[DATABASE]["study"]
        completed = completed_run(shell, client, tmp_path)
        (tmp_path / "checkpoints").mkdir()
        (tmp_path / "checkpoints" / "left.part").touch()  # for an empty folder the runs are not read
        started = time.monotonic()
        fill(runs, completed)
        sizes = f"{len(bson.encode(completed)):,} bytes each, of which sources {_bytes(completed, 'source_files'):,}"
        print(f"\n{DOCUMENTS:,} documents of {sizes}: written in {time.monotonic() - started:.0f} s")
        for indexed in (True, False):
            if indexed:
                started = time.monotonic()
                ensure_indexes(client[DATABASE], "study")
                print(f"indexes made in {time.monotonic() - started:.0f} s")
            else:
                runs.drop_indexes()
            database.stop()
            database.start()
            for name, command in COMMANDS.items():
                result = measured(shell, *(part.format(state=tmp_path) for part in command))
                peak = peak_of_server(database)
                print(f"{name}, {'' if indexed else 'not '}indexed: {result}; peak of the server {peak} MB")
            seconds = companions_of_a_leader(runs)
            print(f"companions of a leader, {'' if indexed else 'not '}indexed: {seconds:.1f} s")


def _bytes(document: Document, name: str) -> int:
    return len(bson.encode({name: document["seml"][name]}))
