"""Login node of the private cluster: a shell, an embedded database, and the studies in it."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from pymongo import MongoClient

from experiments.database.connection import Document
from experiments.database.embedded_server import DATABASE, EmbeddedDatabase
from tests.cluster.private_slurm import PATH, PrivateSlurm
from tests.cluster.study import Study

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
COMMAND_SECONDS = 300.0
GRID: dict[str, Any] = {
    "seml": {"executable": "experiments/train.py", "project_root_dir": str(ROOT)},
    "slurm": {"sbatch_options": {"gres": "gpu:1", "mem": "4G", "time": "0-01:00"}},
    "fixed": {"training.epochs": 3},
}
"""Default sections of a grid: a pack of quick runs of the MLP on 5,000 digits, with a GPU for each task."""


class LoginNode:
    """The user's shell on ``slurm``. All its files are in the cluster's folder.

    Parameters
    ----------
    options
        Variables ``WALKING_NOISE_*``. They are set before grids are added, because SEML starts workers in the
        environment of that time.

    Attributes
    ----------
    database
        The embedded database; it runs between :meth:`start_database` and :meth:`kill_database`.
    """

    def __init__(self, slurm: PrivateSlurm, options: Mapping[str, str]) -> None:
        self.slurm = slurm
        self.database = EmbeddedDatabase(slurm.folder / "database")
        self.environment = {
            "PATH": f"{BIN}{os.pathsep}{PATH}",
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "ignore",
            "XDG_CONFIG_HOME": str(self.database.folder),
            "TERM": "dumb",
            "COLUMNS": "200",
            "OMP_NUM_THREADS": "1",
            "WALKING_NOISE_DEVICE": "cpu",
            **options,
        }
        git = Path(slurm.environment["HOME"]) / ".gitconfig"
        git.write_text(f"[safe]\n    directory = {ROOT}\n")  # the checkout may belong to another user

    def run(self, *command: str, check: bool = True, **environment: str) -> str:
        """The output of a command; a failed command fails the test."""
        shell = self.environment | environment
        return self.slurm.run(*command, seconds=COMMAND_SECONDS, check=check, environment=shell)

    def start_database(self) -> None:
        self.run("walking-noise", "db", "start", "--folder", str(self.database.folder))

    def stop_database(self) -> None:
        self.run("walking-noise", "db", "stop", "--folder", str(self.database.folder))

    def kill_database(self) -> int:
        """Kill the database's server by SIGKILL; return its process id."""
        pid = self.database.server.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        self.slurm.wait(lambda: not self.database.server.running, "the end of the database")
        return pid

    @cached_property
    def client(self) -> MongoClient[Document]:
        access = self.database.access
        assert access is not None
        return access.client()

    def configure_temporary_folder(self) -> None:
        """Configure SEML to create its temporary files, which killed tasks do not remove, in the cluster's folder."""
        temporary = self.slurm.user.own(_created(self.slurm.folder / "tmp"))
        settings = self.database.configuration.with_name("settings.py")
        settings.write_text(f"SETTINGS = {{'TMP_DIRECTORY': {str(temporary)!r}}}\n")

    def close(self) -> None:
        """Close the client, and stop the database if it is running."""
        self.client.close()
        self.stop_database()

    def study(self, name: str, **sections: Any) -> Study:
        """Add a grid to a new collection; ``sections`` of its file extend those of :data:`GRID`."""
        folder = self.slurm.user.own(_created(self.slurm.folder / name))
        content = {key: GRID.get(key, {}) | sections.get(key, {}) for key in {*GRID, *sections}}
        content["seml"] = {"output_dir": str(folder / "logs")} | content["seml"]
        content["slurm"] = [content["slurm"]]
        grid = folder / "grid.yaml"
        grid.write_text(yaml.safe_dump(content))
        self.run("walking-noise", "add", name, str(grid))
        return Study(name, self.client[DATABASE][name], folder / "logs", self.slurm, self.run)


@contextlib.contextmanager
def login_node(slurm: PrivateSlurm, options: Mapping[str, str]) -> Iterator[LoginNode]:
    """A login node with a running database."""
    login = LoginNode(slurm, options)
    login.start_database()
    login.configure_temporary_folder()
    try:
        yield login
    finally:
        login.close()


def _created(folder: Path) -> Path:
    folder.mkdir()
    return folder


def choice(*options: Any) -> dict[str, Any]:
    return {"type": "choice", "options": list(options)}
