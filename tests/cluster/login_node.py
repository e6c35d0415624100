"""Where a user of the private cluster types commands: a shell, a database, and the studies in it."""

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
COMMAND_SECONDS = 180.0
GRID: dict[str, Any] = {
    "seml": {"executable": "experiments/train.py", "project_root_dir": str(ROOT)},
    "slurm": {"sbatch_options": {"gres": "gpu:1", "mem": "4G", "time": "0-01:00"}},
    "fixed": {"training.epochs": 3},
}
"""What a grid says unless it says otherwise: a pack of quick runs on the MLP and 5,000 digits, a GPU for each task."""


class LoginNode:
    """The user's shell on ``slurm``; everything lies in its folder.

    Parameters
    ----------
    options
        ``WALKING_NOISE_*``, set before grids are added, as SEML starts workers in the environment of that moment.

    Attributes
    ----------
    database
        The embedded database, which runs between :meth:`start_database` and :meth:`kill_database`.
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
        git.write_text(f"[safe]\n    directory = {ROOT}\n")  # the checkout may be another user's

    def run(self, *command: str, check: bool = True, **environment: str) -> str:
        """What a command prints; a failed one fails the test."""
        shell = self.environment | environment
        return self.slurm.run(*command, seconds=COMMAND_SECONDS, check=check, environment=shell)

    def start_database(self) -> None:
        self.run("walking-noise", "db", "start", "--folder", str(self.database.folder))

    def stop_database(self) -> None:
        self.run("walking-noise", "db", "stop", "--folder", str(self.database.folder))

    def kill_database(self) -> int:
        """End the database's server by SIGKILL; its pid."""
        pid = self.database.server.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        self.slurm.wait(lambda: not self.database.server.running, "the database has ended")
        return pid

    @cached_property
    def client(self) -> MongoClient[Document]:
        access = self.database.access
        assert access is not None
        return access.client()

    def keep_to_the_folder(self) -> None:
        """Have SEML put what killed tasks leave behind into the cluster's folder, too."""
        temporary = self.slurm.user.own(_made(self.slurm.folder / "tmp"))
        settings = self.database.configuration.with_name("settings.py")
        settings.write_text(f"SETTINGS = {{'TMP_DIRECTORY': {str(temporary)!r}}}\n")

    def leave(self) -> None:
        """Stop the database, if it still runs."""
        self.client.close()
        self.stop_database()

    def study(self, name: str, **sections: Any) -> Study:
        """Add a grid to a new collection: the sections of a SEML file, each on top of :data:`GRID`'s."""
        folder = self.slurm.user.own(_made(self.slurm.folder / name))
        content = {key: GRID.get(key, {}) | sections.get(key, {}) for key in {*GRID, *sections}}
        content["seml"] = {"output_dir": str(folder / "logs")} | content["seml"]
        content["slurm"] = [content["slurm"]]
        grid = folder / "grid.yaml"
        grid.write_text(yaml.safe_dump(content))
        self.run("walking-noise", "add", name, str(grid))
        return Study(name, self.client[DATABASE][name], folder / "logs", self.slurm, self.run)


@contextlib.contextmanager
def login_node(slurm: PrivateSlurm, options: Mapping[str, str]) -> Iterator[LoginNode]:
    """A login node whose database runs."""
    login = LoginNode(slurm, options)
    login.start_database()
    login.keep_to_the_folder()
    try:
        yield login
    finally:
        login.leave()


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def choice(*options: Any) -> dict[str, Any]:
    return {"type": "choice", "options": list(options)}
