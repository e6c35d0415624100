"""Fixtures with a real embedded database and a real SEML, which finds it through the environment as for a user."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from pymongo import MongoClient
from seml.settings import SETTINGS

from experiments.database import run_collections
from experiments.database.connection import Document, Runs, configuration
from experiments.database.embedded_server import DATABASE, EmbeddedDatabase
from tests.experiments.shell import Shell, write_grid
from walking_noise import Result, RunConfig, train

names = (f"runs{number}" for number in itertools.count())


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedDatabase]:
    database = EmbeddedDatabase(tmp_path_factory.mktemp("database") / "db")
    database.start()
    yield database
    database.stop()


@pytest.fixture(scope="session")
def client(embedded: EmbeddedDatabase) -> Iterator[MongoClient[Document]]:
    assert embedded.access is not None
    with embedded.access.client() as client:
        yield client


@pytest.fixture(scope="session")
def shell(embedded: EmbeddedDatabase) -> Shell:
    return Shell(embedded.folder)


@pytest.fixture
def configured(embedded: EmbeddedDatabase, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Configure this process and its children to use the embedded database."""
    monkeypatch.setattr(SETTINGS.DATABASE, "MONGODB_CONFIG_PATH", embedded.folder / "seml" / "mongodb.config")
    for name, value in shell.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def runs(client: MongoClient[Document]) -> Runs:
    """A new, empty collection."""
    return client[DATABASE][next(names)]


@pytest.fixture(scope="session")
def staged(shell: Shell, client: MongoClient[Document], tmp_path_factory: pytest.TempPathFactory) -> Document:
    """The document of a run as SEML adds it."""
    grid = write_grid(tmp_path_factory.mktemp("staged"), fixed={"noise.std": 0.5})
    shell.run("seml", "staged", "add", str(grid))
    document = client[DATABASE]["staged"].find_one()
    assert document is not None
    return document


@pytest.fixture
def pending_runs(runs: Runs, staged: Document, tmp_path: Path) -> Callable[[Sequence[Document]], None]:
    """Fill the collection with pending runs, numbered from 1, that differ only in the given settings."""

    def fill(settings: Sequence[Document]) -> None:
        for number, changes in enumerate(settings, start=1):
            document = copy.deepcopy(staged) | {"_id": number, "status": "PENDING"}
            document["seml"]["output_file"] = str(tmp_path / f"runs_{number}.out")
            for name, value in changes.items():
                *path, last = name.split(".")
                section = document["config"]
                for key in path:
                    section = section[key]
                section[last] = value
            runs.insert_one(document)

    return fill


@pytest.fixture(scope="session")
def result() -> Result:
    (result,) = train([RunConfig.from_dict({"noise.std": 0.5, "training.epochs": 1, "evaluation.curve": True})])
    return result


@pytest.fixture
def found_by_commands(embedded: EmbeddedDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands that read collections use the embedded database, in this process."""
    monkeypatch.setattr(run_collections, "configuration", lambda: configuration(embedded.configuration))
