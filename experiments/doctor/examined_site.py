"""Examined site: configuration, database, options and Slurm, each asked once and shared by the checks."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pymongo.database import Database

from experiments import slurm
from experiments.database.connection import DatabaseError, Document, Runs, configuration, connect_to
from experiments.database.run_collections import seml_collections
from experiments.errors import UserError

if TYPE_CHECKING:  # at run time imported when it is needed: it imports torch
    from experiments.worker.worker_options import WorkerOptions

CHECKOUT = Path(__file__).parents[2]
SERVER_TIMEOUT_MS = 2000
SLURM_SECONDS = 2.0
"""Time for Slurm's first answer."""
PREFIX = "WALKING_NOISE_"
"""Beginning of the names of all variables with options of a worker."""
UNFINISHED = ("STAGED", "PENDING", "RUNNING")
NO_CONFIGURATION = "SEML has no valid configuration"


class NotChecked(Exception):
    """Raised if a check is impossible because of a problem that another check reports; the text names the problem."""


@dataclass(frozen=True)
class Cluster:
    """Answers of Slurm to the queries in :mod:`experiments.slurm`."""

    array_size: int
    name: str | None
    active: slurm.ActiveTasks | None
    known_states: frozenset[str] | None


@dataclass
class Site:
    """Site where runs are added, started or trained. Slurm is asked while the database is."""

    names: tuple[str, ...] = ()  # collections to check; empty for all collections
    fix: bool = False  # whether to create missing indexes
    configuration_file: Path | None = None  # None for the one that SEML reads
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def __post_init__(self) -> None:
        self._array_size = ThreadPoolExecutor(1).submit(slurm.max_array_size, SLURM_SECONDS)

    @cached_property
    def settings(self) -> Any:
        """The settings of SEML."""
        try:
            from seml.settings import SETTINGS
        except Exception:  # SEML executes the user's file
            raise NotChecked("SEML's settings cannot be loaded") from None
        return SETTINGS

    @property
    def file(self) -> Path:
        """The configuration file of SEML."""
        return self.configuration_file or Path(self.settings.DATABASE.MONGODB_CONFIG_PATH)

    @cached_property
    def configuration(self) -> dict[str, Any]:
        try:
            return configuration(self.file)
        except DatabaseError:
            raise NotChecked(NO_CONFIGURATION) from None

    @cached_property
    def connection(self) -> Database[Document] | DatabaseError:
        """The database, or the error that prevents a connection."""
        try:
            return connect_to(self.configuration, serverSelectionTimeoutMS=SERVER_TIMEOUT_MS)
        except DatabaseError as error:
            return error

    @property
    def database(self) -> Database[Document]:
        if isinstance(self.connection, DatabaseError):
            raise NotChecked("the database cannot be reached")
        return self.connection

    def close(self) -> None:
        """Close the connection to the database."""
        connection = vars(self).pop("connection", None)
        if isinstance(connection, Database):
            connection.client.close()

    @cached_property
    def collections(self) -> list[Runs]:
        """The collections of runs to check, without those that do not exist."""
        present = seml_collections(self.database)
        return [self.database[name] for name in present if not self.names or name in self.names]

    @property
    def variables(self) -> dict[str, str]:
        """The options of workers that are set, as environment variables."""
        return {name: value for name, value in sorted(self.environment.items()) if name.startswith(PREFIX) and value}

    @cached_property
    def options(self) -> WorkerOptions:
        """The options that a worker would read from the environment."""
        from experiments.worker.worker_options import WorkerOptions

        try:
            return WorkerOptions.from_environment(self.environment)
        except UserError:
            raise NotChecked("the options of workers are invalid") from None

    @cached_property
    def cluster(self) -> Cluster | None:
        """The answers of Slurm; None if it does not answer."""
        if shutil.which("scontrol") is None:
            raise NotChecked("Slurm is not installed; train on this machine with `walking-noise start NAME --local`")
        array_size = self._array_size.result()
        if array_size is None:
            return None
        return Cluster(array_size, slurm.cluster_name(), slurm.active_tasks(), slurm.known_states())

    @cached_property
    def other_hosts(self) -> list[str]:
        """The names of the Slurm nodes other than this machine; empty if Slurm is not installed or does not answer."""
        here = os.uname().nodename.split(".")[0]
        return [node for node in slurm.nodes() or () if node.split(".")[0] != here]
