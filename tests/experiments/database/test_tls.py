"""Database with TLS: SEML, workers and the report connect to it; clients without its certificate authority do not."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from experiments.database.connection import DatabaseError, Document, configuration, connect_to, host_and_port
from experiments.database.embedded_server import DATABASE, HOST, EmbeddedDatabase
from experiments.doctor.database_access import answers, seen_by_nodes
from experiments.doctor.examined_site import Site
from experiments.doctor.finding import OK, WARNING
from tests.experiments.database.authority import Authority
from tests.experiments.shell import Shell, choice, write_grid

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make certificates with")
PATIENCE_MS = 1000


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority")).make()


@pytest.fixture(scope="module")
def secured(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedDatabase]:
    """The server of an embedded database with TLS, and SEML's configuration for it."""
    database = EmbeddedDatabase(tmp_path_factory.mktemp("secured") / "db")
    database.start()
    database.stop()
    assert database.access is not None
    port = database.access.port
    host = f"mongodb://{HOST}/?tls=true&tlsCAFile={authority.certificate}"

    def answers_with_tls() -> bool:
        client = MongoClient[Document](f"{host}&serverSelectionTimeoutMS=500", port)
        with client, contextlib.suppress(PyMongoError):
            return bool(client.admin.command("hello")["ok"])
        return False

    with database.server.locked() as lock:
        process = database.server.start(database._command(port, "--auth", *authority.server_options), lock)
    database._wait(answers_with_tls, lambda: process.poll() is not None)
    content = yaml.safe_load(database.configuration.read_text())
    database.configuration.write_text(yaml.safe_dump({**content, "host": host}))
    yield database
    database.stop()


def password(database: EmbeddedDatabase) -> str:
    return str(yaml.safe_load(database.configuration.read_text())["password"])


def variant(database: EmbeddedDatabase, folder: Path, **changes: object) -> Path:
    content = yaml.safe_load(database.configuration.read_text())
    file = folder / "mongodb.config"
    file.write_text(yaml.safe_dump({**content, **changes}))
    return file


@pytest.mark.slow
def test_a_study_from_grid_to_report(secured: EmbeddedDatabase, tmp_path: Path):
    shell = Shell(secured.folder)
    grid = write_grid(tmp_path, grid={"noise.std": choice(0.0, 0.1, 1.0, 10.0), "seed": choice(1, 2)})
    outputs = [
        shell.run("seml", "secured", "add", str(grid)),
        shell.run("seml", "secured", "start", "--local"),
        shell.run("seml", "secured", "status"),
        shell.run("walking-noise", "doctor", "secured", "--node"),
        shell.run("python", "-m", "analysis.report", "secured", "--out", str(tmp_path / "report")),
    ]
    with contextlib.closing(Site(configuration_file=secured.configuration)) as site:
        runs = site.database["secured"]
        assert runs.count_documents({"status": "COMPLETED"}) == 8
        assert password(secured) not in str(list(runs.find()))
    assert (tmp_path / "report" / "index.html").exists()
    logs = [path.read_text(errors="replace") for path in tmp_path.rglob("*.out")]
    assert logs
    assert not [text for text in (*outputs, *logs) if password(secured) in text]


def test_host_and_port_come_without_the_rest_of_the_address(secured: EmbeddedDatabase):
    content = configuration(secured.configuration)
    database = connect_to(content, serverSelectionTimeoutMS=PATIENCE_MS)
    with database.client:
        assert host_and_port(database) == f"{HOST}:{content['port']}"


def test_the_doctor_reports_the_encryption(secured: EmbeddedDatabase, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("experiments.doctor.examined_site.SERVER_TIMEOUT_MS", 30_000)
    content = configuration(secured.configuration)
    with contextlib.closing(Site(configuration_file=secured.configuration)) as site:
        site.other_hosts = ["n2"]
        (answer,) = answers(site)
        assert answer.level == OK
        assert f"answers at {HOST}:{content['port']}, with TLS, database {DATABASE}" in answer.found
        site.configuration = {**content, "host": "mongodb://db.example.org/?tls=true"}
        assert [finding.found for finding in seen_by_nodes(site)] == ["encrypted"]
        site.configuration = {**content, "host": "db.example.org"}
        (finding,) = seen_by_nodes(site)
        assert (finding.level, finding.found) == (WARNING, "the connection to db.example.org is not encrypted")


@pytest.mark.parametrize(
    ("host", "message"),
    [
        (f"mongodb://{HOST}/?tls=true", "no trusted TLS connection could be made"),
        (HOST, "no database answers at"),
        ("mongodb://{HOST}/?tls=true&tlsCAFile=/nowhere.pem", r"cannot be used \(/nowhere.pem: No such file"),
        ("https://walking_noise:hunter2@there", r"cannot be used \(InvalidURI\)"),
        ("mongodb://walking_noise:hunter2/2@there/", r"cannot be used \(InvalidURI\)"),
    ],
)
def test_clients_without_its_authority_are_refused(secured: EmbeddedDatabase, tmp_path: Path, host: str, message: str):
    file = variant(secured, tmp_path, host=host)
    with pytest.raises(DatabaseError, match=message) as refusal:
        connect_to(configuration(file), serverSelectionTimeoutMS=PATIENCE_MS)
    assert password(secured) not in str(refusal.value)
    assert "hunter2" not in str(refusal.value)


def test_a_certificate_for_another_name_is_refused(secured: EmbeddedDatabase, authority: Authority, tmp_path: Path):
    file = variant(secured, tmp_path, host=f"mongodb://localhost/?tls=true&tlsCAFile={authority.certificate}")
    with pytest.raises(DatabaseError, match="no trusted TLS connection could be made"):
        connect_to(configuration(file), serverSelectionTimeoutMS=PATIENCE_MS)
