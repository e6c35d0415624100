"""Connections that the server closes after a time without use."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest
from pymongo.database import Database
from pymongo.errors import AutoReconnect

from experiments.database import connection
from experiments.database.connection import MAX_IDLE_MS, Document, configuration, connect_to
from experiments.database.embedded_server import DATABASE, EmbeddedDatabase

SECONDS = 0.4
"""A time after which the server closes a connection. PyMongo itself notices that only if it was idle for a second."""
SERVER = f"""
import runpy
from secantus.server import SecantusDBServer
SecantusDBServer.__init__.__kwdefaults__["client_idle_timeout_s"] = {SECONDS}
runpy.run_module("secantus", run_name="__main__")
"""


class Closing(EmbeddedDatabase):
    """An embedded database that closes connections after a short time without use."""

    def _command(self, port: int, *options: str) -> list[str]:
        command = super()._command(port, *options)
        return [sys.executable, "-c", SERVER, *command[command.index("secantus") + 1 :]]


@pytest.fixture(scope="module")
def closing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedDatabase]:
    database = Closing(tmp_path_factory.mktemp("closing") / "db")
    database.start()
    yield database
    database.stop()


def of_the_server(database: EmbeddedDatabase) -> Database[Document]:
    assert database.access is not None
    return database.access.client()[DATABASE]


def of_the_configuration(database: EmbeddedDatabase) -> Database[Document]:
    return connect_to(configuration(database.configuration))


@pytest.mark.parametrize("connected", [of_the_server, of_the_configuration])
def test_an_idle_connection_is_replaced_before_the_server_closes_it(
    connected: Callable[[EmbeddedDatabase], Database[Document]],
    closing: EmbeddedDatabase,
    monkeypatch: pytest.MonkeyPatch,
):
    def fails(max_idle_seconds: float) -> bool:
        monkeypatch.setattr(connection, "MAX_IDLE_MS", int(1000 * max_idle_seconds))
        database = connected(closing)
        with database.client:
            database["idle"].insert_one({})
            time.sleep(1.5 * SECONDS)
            try:
                database["idle"].insert_one({})
            except AutoReconnect:
                return True
        return False

    assert any(fails(3600) for _ in range(5))
    assert not fails(SECONDS / 2)


def test_the_limit_is_below_that_of_the_server():
    script = "from secantus.server import DEFAULT_CLIENT_IDLE_TIMEOUT_S as seconds; print(seconds)"
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert float(printed) > MAX_IDLE_MS / 1000
