"""Secrets in the shell of a user are stored nowhere, from `walking-noise add` to the last result."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pymongo import MongoClient

from experiments.database.connection import Document
from experiments.database.embedded_server import DATABASE, EmbeddedDatabase
from tests.experiments.shell import Shell, choice, write_grid

pytestmark = pytest.mark.slow

COLLECTION = "secretive"
SECRETS = {
    "DB_PASSWORD": "planted-password",
    "GITHUB_TOKEN": "planted-token",
    "HTTPS_PROXY": "http://me:planted-in-an-address@proxy:3128",
    "WALKING_NOISE_TOKEN": "planted-among-options",
    "HARMLESS_TO_SEE": "planted-under-another-name",
}
LONG, SHORT = 400, 2
"""Epochs: enough to interrupt the training, and few."""


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def contents_of(client: MongoClient[Document]) -> Iterator[tuple[str, bytes]]:
    """Every document of every collection, chunks of GridFS among them, as text."""
    database = client[DATABASE]
    for name in database.list_collection_names():
        for document in database[name].find():
            yield name, repr(document).encode() + (document["data"] if name.endswith(".chunks") else b"")


def test_no_secret_is_stored_or_printed(
    shell: Shell, client: MongoClient[Document], embedded: EmbeddedDatabase, tmp_path: Path
):
    assert embedded.access is not None
    state = tmp_path / "state"
    options = {"WALKING_NOISE_STATE": str(state), "WALKING_NOISE_CHECKPOINT_SECONDS": "0.01"}
    grid = write_grid(tmp_path, fixed={"training.epochs": LONG}, grid={"noise.std": choice(0.5, 1.0)})
    shell = shell.having({**SECRETS, **options})
    printed = shell.run("walking-noise", "add", COLLECTION, str(grid))

    with shell.start("walking-noise", "start", COLLECTION, "--local") as process:
        while not any(not path.endswith(".part") for path in files_below(state / "checkpoints")):
            assert process.poll() is None
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGTERM)
        printed += process.communicate(timeout=60)[0]
    written = files_below(state)
    assert written
    runs = client[DATABASE][COLLECTION]
    runs.update_many({}, {"$set": {"config.training.epochs": SHORT}})
    printed += shell.run("walking-noise", "start", COLLECTION, "--local")
    assert [run["status"] for run in runs.find()] == ["COMPLETED"] * 2

    contents = {"output": printed.encode(), **written, **files_below(tmp_path)}
    searched = [*contents.items(), *contents_of(client)]
    assert {COLLECTION, "fs.chunks"} <= {name for name, _ in searched}
    assert any("logs" in name for name in contents)
    for secret in [*SECRETS.values(), embedded.access.password]:
        assert [name for name, content in searched if secret.encode() in content] == []
