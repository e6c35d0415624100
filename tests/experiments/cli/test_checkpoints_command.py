"""``walking-noise checkpoints`` never removes a checkpoint that a run needs."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from experiments.cli.app import main
from experiments.database import run_collections
from experiments.database.connection import DatabaseError, Runs
from tests.experiments.worker.claiming import Fill
from walking_noise import RunConfig
from walking_noise.checkpoints.checkpoint_store import CheckpointStore
from walking_noise.training.member import Member

DAY = 86_400
STD = 0.123
"""No other run in the database has this level."""


def config(seed: int) -> RunConfig:
    return RunConfig.from_dict({"noise.std": STD, "training.epochs": 1, "seed": seed})


@pytest.fixture
def state(runs: Runs, pending_runs: Fill, tmp_path: Path, found_by_commands: None, monkeypatch) -> Iterator[Path]:
    """Checkpoints of an unfinished run (seed 1), a completed one (2) and one of no collection (3), and other files."""
    pending_runs([{"seed": seed, "noise.std": STD} for seed in (1, 2)])
    runs.update_one({"_id": 2}, {"$set": {"status": "COMPLETED"}})
    state = tmp_path / "state"
    monkeypatch.setenv("WALKING_NOISE_STATE", str(state))
    checkpoints = CheckpointStore(state / "checkpoints")
    for seed in (1, 2, 3):
        checkpoints.save([Member(config(seed))], torch.device("cpu"), "data")
    (state / "checkpoints" / "damaged.checkpoint").write_bytes(b"no checkpoint")
    for name, age in (("old.part", 2 * DAY), ("new.part", 0), ("notes.txt", 9 * DAY)):
        file = state / "checkpoints" / name
        file.write_text("x")
        os.utime(file, (time.time() - age,) * 2)
    (state / "undelivered").mkdir()
    (state / "undelivered" / "a-0.json").write_text("{}")
    yield state
    runs.drop()


def names(state: Path) -> set[str]:
    seeds = {f"{config(seed).network_key}.checkpoint": f"seed {seed}" for seed in (1, 2, 3)}
    return {seeds.get(file.name, file.name) for file in (state / "checkpoints").iterdir()}


ALL = {"seed 1", "seed 2", "seed 3", "damaged.checkpoint", "old.part", "new.part", "notes.txt"}


def test_list(state: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WALKING_NOISE_STATE_QUOTA", "2G")
    assert main(["checkpoints", "list"]) == 0
    head, _, *rows, undelivered = capsys.readouterr().out.splitlines()
    assert head.startswith(f"{state / 'checkpoints'}: 7 files, ")
    assert head.endswith(" of 2.15 GB (WALKING_NOISE_STATE_QUOTA)")
    counted = {row[:44].strip().split("  ")[0]: int(row.split()[-3]) for row in rows}
    assert counted == {
        "needed by unfinished runs": 1,
        "not needed by any run": 2,
        "damaged, or not readable by this version": 1,
        "partial file, older than a day": 1,
        "being written": 1,
        "not a checkpoint, ignored": 1,
    }
    assert undelivered.startswith(f"{state / 'undelivered'}: 1 file with undelivered results; run `walking-noise deli")
    assert names(state) == ALL


def test_only_unneeded_checkpoints_are_removed(state: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["checkpoints", "clean", "--dry-run"]) == 0
    assert capsys.readouterr().out.startswith("would be removed: 4 of 7 files")
    assert names(state) == ALL
    assert main(["checkpoints", "clean"]) == 0
    assert capsys.readouterr().out.startswith("removed: 4 of 7 files")
    assert names(state) == {"seed 1", "new.part", "notes.txt"}
    assert len(list((state / "undelivered").iterdir())) == 1


def test_only_old_files_are_removed(state: Path):
    for seed, days in ((1, 9), (2, 9), (3, 3)):
        file = CheckpointStore(state / "checkpoints").file(config(seed))
        os.utime(file, (time.time() - days * DAY,) * 2)
    assert main(["checkpoints", "clean", "--older-than", "5"]) == 0
    assert names(state) == ALL - {"seed 2"}


@pytest.mark.parametrize("status", ["STAGED", "FAILED", "KILLED", "INTERRUPTED", "RUNNING", "RESCHEDULED"])
def test_a_run_that_may_resume_keeps_its_checkpoint(state: Path, runs: Runs, status: str):
    runs.update_many({}, {"$set": {"status": status}})
    assert main(["checkpoints", "clean"]) == 0
    assert names(state) == {"seed 1", "seed 2", "new.part", "notes.txt"}


def test_nothing_is_removed_without_the_database(state: Path, capsys: pytest.CaptureFixture[str], monkeypatch):
    def no_database() -> None:
        raise DatabaseError("no database answers at host:1")

    monkeypatch.setattr(run_collections, "configuration", no_database)
    assert main(["checkpoints", "clean"]) == 1
    assert "no database answers" in capsys.readouterr().err
    assert names(state) == ALL
    assert main(["checkpoints", "list"]) == 0
    printed = capsys.readouterr()
    assert "cannot determine which checkpoints are needed: no database answers" in printed.err
    assert "unknown, as the database was not queried" in printed.out


def test_checkpoints_of_another_version_stay_while_its_runs_cannot_be_read(
    state: Path, runs: Runs, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as patch:
        patch.setattr("walking_noise.checkpoints.checkpoint_format.__version__", "0.0.1")
        CheckpointStore(state / "checkpoints").save([Member(config(3))], torch.device("cpu"), "data")
    runs.update_one({"_id": 1}, {"$set": {"config.of_another_version": 1}})
    assert main(["checkpoints", "clean"]) == 0
    assert names(state) == {"seed 3", "new.part", "notes.txt"}


def test_no_folder(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    assert main(["checkpoints", "list"]) == 1
    assert "use --folder DIR or set WALKING_NOISE_STATE" in capsys.readouterr().err
    assert main(["checkpoints", "clean", "--folder", str(tmp_path / "none")]) == 0
    assert capsys.readouterr().out == "removed: 0 of 0 files, 0 bytes\n"
