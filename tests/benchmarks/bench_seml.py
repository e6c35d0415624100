"""Overhead of SEML, its database and its records over the training of many short runs: ``make bench``.

A grid of 1,000 runs of one epoch is added by ``seml add`` and trained by ``seml start --local``, with the embedded
database, on one core. The overhead is the time of ``start`` minus the training time in the results.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from experiments.database.embedded_server import DATABASE, EmbeddedDatabase
from tests.experiments.shell import Shell, choice, write_grid

RUNS = 1000
GOAL = 0.05
"""Seconds per run outside training."""


@pytest.fixture
def database(tmp_path: Path) -> Iterator[EmbeddedDatabase]:
    database = EmbeddedDatabase(tmp_path / "database")
    database.start()
    yield database
    database.stop()


def seconds_of(shell: Shell, *command: str) -> float:
    started = time.monotonic()
    with shell.start("seml", "bench", *command, executed=True, WALKING_NOISE_PACK_SIZE=str(RUNS)) as process:
        output, _ = process.communicate()
    assert process.returncode == 0, output
    return time.monotonic() - started


def test_overhead_per_run(database: EmbeddedDatabase, tmp_path: Path):
    shell = Shell(database.folder)
    seeds = {"type": "range", "min": 0, "max": RUNS // 4, "step": 1}
    grid = write_grid(tmp_path, grid={"noise.std": choice(0.1, 0.2, 0.5, 1.0), "seed": seeds})
    added = seconds_of(shell, "add", str(grid))
    started = seconds_of(shell, "start", "--local")
    assert database.access is not None
    with database.access.client() as client:
        runs = client[DATABASE]["bench"]
        results = [document["result"] for document in runs.find({"status": "COMPLETED"}, ["result.seconds"])]
    assert len(results) == RUNS
    trained = sum(result["seconds"] for result in results)
    overhead = (started - trained) / RUNS
    print(
        f"\n{RUNS} runs of an epoch: seml add {added:.1f} s; seml start {started:.1f} s, in packs {trained:.1f} s\n"
        f"outside training {overhead:.3f} s a run (with seml add {overhead + added / RUNS:.3f} s), goal <= {GOAL} s: "
        f"{'met' if overhead <= GOAL else 'missed'}"
    )
