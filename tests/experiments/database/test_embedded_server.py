"""The embedded database: started once, found again, stopped, and whole after a crash."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from pymongo.errors import OperationFailure

from experiments.cli.app import main
from experiments.database.embedded_server import DATABASE, HOST, EmbeddedDatabase, ServerAccess, default_folder
from experiments.database.server_process import ServerError, ServerFolder, ServerRunning


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedDatabase]:
    database = EmbeddedDatabase(tmp_path_factory.mktemp("embedded") / "a folder")
    assert database.start()
    yield database
    database.stop()


def account(database: EmbeddedDatabase) -> ServerAccess:
    assert database.access is not None
    return database.access


def command_line(pid: int | None) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")


def test_started_once(database: EmbeddedDatabase):
    pid = database.server.pid
    assert not database.start()
    assert database.server.pid == pid
    assert database.answers


def test_its_start_says_whom_it_serves(database: EmbeddedDatabase, capsys: pytest.CaptureFixture[str]):
    assert main(["db", "start", "--folder", str(database.folder)]) == 0
    said = capsys.readouterr().out
    assert "it serves this host only; runs on a cluster's nodes need a MongoDB that these reach: see CLUSTER.md" in said
    assert account(database).password not in said


def test_only_the_owner_can_read_it(database: EmbeddedDatabase):
    def mode(path: Path) -> int:
        return stat.S_IMODE(path.stat().st_mode)

    assert mode(database.configuration) == 0o600
    folders = (database.folder, database.configuration.parent, database.folder / "data")
    assert [mode(folder) for folder in folders] == [0o700] * 3


def test_the_password_is_in_semls_configuration_alone(database: EmbeddedDatabase):
    password = account(database).password
    holders = [path for path in database.folder.rglob("*") if path.is_file() and password.encode() in path.read_bytes()]
    assert holders == [database.configuration]
    assert password not in command_line(database.server.pid)


def test_listens_on_this_machine_alone_and_asks_for_the_password(database: EmbeddedDatabase):
    port = account(database).port
    assert f"--host 127.0.0.1 --port {port}" in command_line(database.server.pid)
    for stranger in (ServerAccess(port, "guess").client(), account(database).client(authenticate=False)):
        with stranger, pytest.raises(OperationFailure):
            stranger[DATABASE].list_collection_names()


def test_lives_on_when_its_starter_ends(database: EmbeddedDatabase):
    assert os.getsid(database.server.pid or 0) == database.server.pid


def test_data_survive_a_crash_and_the_next_start_takes_over(database: EmbeddedDatabase):
    with account(database).client() as client:
        client[DATABASE]["kept"].insert_many([{"_id": number} for number in range(100)])
    before = account(database)
    os.kill(database.server.pid or 0, signal.SIGKILL)
    while database.server.running:
        time.sleep(0.01)
    assert not database.answers
    assert database.start()
    assert account(database) == before
    with account(database).client() as client:
        assert client[DATABASE]["kept"].count_documents({}) == 100


def test_a_port_that_is_taken_is_left_to_its_taker(database: EmbeddedDatabase):
    before = account(database)
    assert database.stop()
    assert not database.stop()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind((HOST, before.port))
        other.listen()
        database.start()
    assert account(database).port != before.port
    assert account(database).password == before.password
    assert database.answers


def test_another_databases_configuration_is_left_alone(tmp_path: Path):
    database = EmbeddedDatabase(tmp_path)
    database.configuration.parent.mkdir()
    other = {"username": "me", "password": "x", "host": "mongo.example.org", "port": 27017, "database": "me"}
    database.configuration.write_text(yaml.safe_dump(other))
    with pytest.raises(ServerError, match="is the configuration of another database"):
        database.start()
    assert yaml.safe_load(database.configuration.read_text()) == other


def test_a_stale_process_id_misleads_nobody(tmp_path: Path):
    (tmp_path / "server.lock").touch()
    (tmp_path / "server.pid").write_text(f"{os.getpid()}\n")
    server = ServerFolder(tmp_path)
    assert not server.running
    assert server.pid is None
    assert not server.stop()


def test_while_it_is_being_started_it_is_not_stopped(tmp_path: Path):
    with (tmp_path / "server.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        server = ServerFolder(tmp_path)
        with pytest.raises(ServerRunning), server.locked():
            pass
        with pytest.raises(ServerError, match="just being started"):
            server.stop()


def test_a_server_that_does_not_start_says_why(tmp_path: Path):
    database = EmbeddedDatabase(tmp_path / "damaged")
    (database.folder / "data").mkdir(parents=True)
    (database.folder / "data" / "WiredTiger").write_text("not its data")
    (database.folder / "data" / "WiredTiger.turtle").write_text("not its data")
    with pytest.raises(ServerError, match=r"did not start: .+ \(see .*server.log\)"):
        database.start()
    assert not database.server.running


def test_its_folder(monkeypatch: pytest.MonkeyPatch):
    assert default_folder() == Path(".walking_noise")
    monkeypatch.setenv("WALKING_NOISE_DB", "/there")
    assert EmbeddedDatabase().folder == Path("/there")
