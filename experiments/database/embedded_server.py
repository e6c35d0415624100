"""Embedded database: a MongoDB-compatible server for one machine that needs no administration.

secantusdb runs as a separate process on 127.0.0.1 and requires a password. One folder, readable by its owner only,
holds the data, the log, the process id and a configuration of SEML. ``XDG_CONFIG_HOME=FOLDER`` makes ``seml`` use it.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.database.server_process import ServerError, ServerFolder, ServerRunning, end

if TYPE_CHECKING:
    from pymongo import MongoClient

FOLDER_VARIABLE = "WALKING_NOISE_DB"
DEFAULT_FOLDER = ".walking_noise"
HOST = "127.0.0.1"
DATABASE = "walking_noise"
USER = "walking_noise"
START_SECONDS = 60.0


@dataclass(frozen=True)
class ServerAccess:
    """Port and password of the server, as in SEML's configuration."""

    port: int
    password: str

    def client(self, *, authenticate: bool = True) -> MongoClient[dict[str, Any]]:
        login: dict[str, Any] = {"username": USER, "password": self.password, "authSource": DATABASE}
        from pymongo import MongoClient

        from experiments.database.connection import MAX_IDLE_MS

        # A connection is replaced before the server closes it as idle.
        options: dict[str, Any] = {"serverSelectionTimeoutMS": 500, "maxIdleTimeMS": MAX_IDLE_MS}
        return MongoClient(HOST, self.port, **options, **(login if authenticate else {}))


class EmbeddedDatabase:
    """The embedded database in ``folder``, by default ``$WALKING_NOISE_DB`` or ``.walking_noise``.

    Only :meth:`start` creates the folder and its files.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = (folder or Path(os.environ.get(FOLDER_VARIABLE) or DEFAULT_FOLDER)).expanduser().absolute()
        self.configuration = self.folder / "seml" / "mongodb.config"
        self.server = ServerFolder(self.folder)
        self._data = self.folder / "data"

    def start(self) -> bool:
        """Start the server and wait until it answers; return False if it was already running."""
        if importlib.util.find_spec("secantus") is None:
            raise ServerError("the embedded database is not installed: pip install 'walking_noise[embedded]'")
        self._make_folders()
        try:
            with self.server.locked() as lock:
                access = self.access
                if access is None or not self._data.exists():
                    access = self._create_access(lock)
                access = ServerAccess(_free_port(access.port), access.password)
                self._write_configuration(access)
                process = self.server.start(self._command(access.port, "--auth"), lock)
        except ServerRunning:
            self._wait(lambda: self.answers, lambda: not self.server.running)
            return False
        self._wait(lambda: _accepts(access), lambda: process.poll() is not None)
        return True

    def stop(self) -> bool:
        """Stop the server and wait for its end; return False if it was not running."""
        return self.server.stop()

    @property
    def access(self) -> ServerAccess | None:
        """Port and password from SEML's configuration in the folder; None before the first start."""
        if not self.configuration.exists():
            return None
        import yaml

        content = yaml.safe_load(self.configuration.read_text())
        if (content["username"], content["host"]) != (USER, HOST):
            raise ServerError(f"{self.configuration} is the configuration of another database; choose another folder")
        return ServerAccess(int(content["port"]), str(content["password"]))

    @property
    def answers(self) -> bool:
        """Whether the server answers and accepts the password in SEML's configuration."""
        access = self.access
        return access is not None and _accepts(access)

    def _make_folders(self) -> None:
        if not self.folder.exists():
            self.folder.mkdir(mode=0o700, parents=True)
            (self.folder / ".gitignore").write_text("*\n")
        self.configuration.parent.mkdir(mode=0o700, exist_ok=True)

    def _command(self, port: int, *options: str) -> list[str]:
        storage = ["--host", HOST, "--port", str(port), "--storage-path", str(self._data), "--cache-size", "256M"]
        return [sys.executable, "-m", "secantus", *storage, "--standalone", "--sync-on-commit", *options]

    def _create_access(self, lock: int) -> ServerAccess:
        # With --auth secantusdb admits nobody who could create the first user, so the server first runs without it.
        self._data.mkdir(mode=0o700, exist_ok=True)
        access = ServerAccess(_free_port(), secrets.token_urlsafe(24))
        process = self.server.start(self._command(access.port), lock)
        try:
            self._wait(lambda: _accepts(access, authenticate=False), lambda: process.poll() is not None)
            with access.client(authenticate=False) as client:
                known = client[DATABASE].command("usersInfo", USER)["users"]
                command = "updateUser" if known else "createUser"
                roles = [{"role": "readWrite", "db": DATABASE}]
                client[DATABASE].command(command, USER, pwd=access.password, roles=roles)
        finally:
            if not end(process.pid, lambda: process.poll() is not None):
                process.kill()
                process.wait()
        return access

    def _write_configuration(self, access: ServerAccess) -> None:
        import yaml

        content = {
            "username": USER,
            "password": access.password,
            "host": HOST,
            "port": access.port,
            "database": DATABASE,
        }
        partial = self.configuration.with_suffix(".partial")
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            yaml.safe_dump(content, file)
        partial.replace(self.configuration)

    def _wait(self, answers: Callable[[], bool], ended: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not answers():
            if ended():
                reason = self.server.last_log_line()
                raise ServerError(f"the embedded database did not start: {reason} (see {self.server.log})")
            if time.monotonic() > deadline:
                raise ServerError(f"the embedded database does not answer; see {self.server.log}")
            time.sleep(0.05)


def _accepts(access: ServerAccess, *, authenticate: bool = True) -> bool:
    from pymongo.errors import PyMongoError

    try:
        with access.client(authenticate=authenticate) as client:
            client[DATABASE].list_collection_names()
        return True
    except PyMongoError:
        return False


def _free_port(wanted: int = 0) -> int:
    """The port ``wanted`` if it is free, else any free port."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ServerError(f"no free port on {HOST}")
