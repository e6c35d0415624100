"""Embedded database: start, second start, stop, and recovery after a crash."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from pymongo.errors import OperationFailure, PyMongoError

from experiments.cli.app import main
from experiments.database.embedded_server import DATABASE, HOST, EmbeddedDatabase, ServerAccess
from experiments.database.server_process import ServerError, ServerFolder, ServerRunning, end


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedDatabase]:
    database = EmbeddedDatabase(tmp_path_factory.mktemp("embedded") / "a folder")
    assert database.start()
    yield database
    database.stop()


def access_to(database: EmbeddedDatabase) -> ServerAccess:
    assert database.access is not None
    return database.access


def command_line(pid: int | None) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")


def test_started_once(database: EmbeddedDatabase):
    pid = database.server.pid
    assert not database.start()
    assert database.server.pid == pid
    assert database.answers


def test_start_reports_that_it_serves_one_host_only(database: EmbeddedDatabase, capsys: pytest.CaptureFixture[str]):
    assert main(["db", "start", "--folder", str(database.folder)]) == 0
    output = capsys.readouterr().out
    assert "the nodes of a cluster need a MongoDB that they can reach, see docs/cluster.md" in output
    assert access_to(database).password not in output


def test_only_the_owner_can_read_the_folder(database: EmbeddedDatabase):
    def mode(path: Path) -> int:
        return stat.S_IMODE(path.stat().st_mode)

    assert mode(database.configuration) == 0o600
    folders = (database.folder, database.configuration.parent, database.folder / "data")
    assert [mode(folder) for folder in folders] == [0o700] * 3


def test_only_semls_configuration_contains_the_password(database: EmbeddedDatabase):
    password = access_to(database).password
    files = [path for path in database.folder.rglob("*") if path.is_file() and password.encode() in path.read_bytes()]
    assert files == [database.configuration]
    assert password not in command_line(database.server.pid)


def test_listens_on_this_machine_only_and_requires_the_password(database: EmbeddedDatabase):
    port = access_to(database).port
    assert f"--host 127.0.0.1 --port {port}" in command_line(database.server.pid)
    for client in (ServerAccess(port, "guess").client(), access_to(database).client(authenticate=False)):
        with client, pytest.raises(OperationFailure):
            client[DATABASE].list_collection_names()


def test_runs_in_its_own_session(database: EmbeddedDatabase):
    assert os.getsid(database.server.pid or 0) == database.server.pid


def test_data_survive_a_crash(database: EmbeddedDatabase):
    with access_to(database).client() as client:
        client[DATABASE]["kept"].insert_many([{"_id": number} for number in range(100)])
    before = access_to(database)
    os.kill(database.server.pid or 0, signal.SIGKILL)
    while database.server.running:
        time.sleep(0.01)
    assert not database.answers
    assert database.start()
    assert access_to(database) == before
    with access_to(database).client() as client:
        assert client[DATABASE]["kept"].count_documents({}) == 100


def test_an_occupied_port_is_replaced_by_another(database: EmbeddedDatabase):
    before = access_to(database)
    assert database.stop()
    assert not database.stop()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind((HOST, before.port))
        other.listen()
        database.start()
    assert access_to(database).port != before.port
    assert access_to(database).password == before.password
    assert database.answers


def test_the_configuration_of_another_database_is_not_changed(tmp_path: Path):
    database = EmbeddedDatabase(tmp_path)
    database.configuration.parent.mkdir()
    other = {"username": "me", "password": "x", "host": "mongo.example.org", "port": 27017, "database": "me"}
    database.configuration.write_text(yaml.safe_dump(other))
    with pytest.raises(ServerError, match="is the configuration of another database"):
        database.start()
    assert yaml.safe_load(database.configuration.read_text()) == other


def test_a_stale_process_id_is_ignored(tmp_path: Path):
    (tmp_path / "server.lock").touch()
    (tmp_path / "server.pid").write_text(f"{os.getpid()}\n")
    server = ServerFolder(tmp_path)
    assert not server.running
    assert server.pid is None
    assert not server.stop()


def test_a_server_that_is_being_started_cannot_be_stopped(tmp_path: Path):
    with (tmp_path / "server.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        server = ServerFolder(tmp_path)
        with pytest.raises(ServerRunning), server.locked():
            pass
        with pytest.raises(ServerError, match="just being started"):
            server.stop()


def test_a_server_that_misses_the_first_sigterm_gets_another():
    program = """
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
print(flush=True)
for _ in range(2):
    signal.sigwait({signal.SIGTERM})
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        assert not end(process.pid, lambda: process.poll() is not None, seconds=0.5, again=10)
        assert end(process.pid, lambda: process.poll() is not None, seconds=60, again=0.1)


def test_a_server_that_ignores_sigterm_is_killed(tmp_path: Path):
    folder = ServerFolder(tmp_path)
    program = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"
    with folder.locked() as lock:
        process = folder.start([sys.executable, "-c", program], lock)
    while not folder.log.stat().st_size:
        time.sleep(0.01)
    assert folder.stop(seconds=0.2)
    assert process.returncode == -signal.SIGKILL


@pytest.mark.slow
def test_a_busy_server_ends(tmp_path: Path):
    """Clients keep it busy with queries of all documents, which take seconds."""
    database = EmbeddedDatabase(tmp_path / "busy")
    assert database.start()
    documents = [{"_id": number, "numbers": list(range(1000))} for number in range(2000)]

    def ask() -> None:
        with contextlib.suppress(PyMongoError), access_to(database).client() as client:
            while True:
                client[DATABASE]["large"].count_documents({"numbers.999": {"$gt": 0}, "numbers": -1})

    with access_to(database).client() as client:
        client[DATABASE]["large"].insert_many(documents)
    askers = [threading.Thread(target=ask) for _ in range(4)]
    for asker in askers:
        asker.start()
    time.sleep(3)
    started = time.monotonic()
    assert database.stop()
    assert time.monotonic() - started < 60
    for asker in askers:
        asker.join()
    assert database.start()
    with access_to(database).client() as client:
        assert client[DATABASE]["large"].count_documents({}) == len(documents)
    database.stop()


def test_a_failed_start_reports_the_reason(tmp_path: Path):
    database = EmbeddedDatabase(tmp_path / "damaged")
    (database.folder / "data").mkdir(parents=True)
    (database.folder / "data" / "WiredTiger").write_text("not its data")
    (database.folder / "data" / "WiredTiger.turtle").write_text("not its data")
    with pytest.raises(ServerError, match=r"did not start: .+ \(see .*server.log\)"):
        database.start()
    assert not database.server.running


@pytest.mark.parametrize(
    "name", [".", "seml", "seml/mongodb.config", "data", "server.lock", "server.log", "server.pid"]
)
def test_a_file_or_a_folder_in_the_way(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]):
    """The error is one line that names the path."""
    path = tmp_path / "db" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir() if "." in path.name else path.touch()
    assert main(["db", "start", "--folder", str(tmp_path / "db")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert str(path) in line


def test_default_folder(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("WALKING_NOISE_DB", raising=False)
    assert EmbeddedDatabase().folder == Path.cwd() / ".walking_noise"
    monkeypatch.setenv("WALKING_NOISE_DB", "/there")
    assert EmbeddedDatabase().folder == Path("/there")
