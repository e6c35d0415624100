"""Examined site: configuration, database, options and nodes, each read once and shared by the checks."""

from __future__ import annotations

import os
from collections.abc import Mapping
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
PREFIX = "WALKING_NOISE_"
"""Beginning of the names of all variables with options of a worker."""
UNFINISHED = ("STAGED", "PENDING", "RUNNING")
NO_CONFIGURATION = "SEML has no valid configuration"


class NotChecked(Exception):
    """Raised if a check is impossible because of a problem that another check reports; the text names the problem."""


@dataclass
class Site:
    """Site where runs are added, started or trained."""

    names: tuple[str, ...] = ()  # collections to check; empty for all collections
    fix: bool = False  # whether to create missing indexes
    configuration_file: Path | None = None  # None for the one that SEML reads
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)

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
    def other_hosts(self) -> list[str]:
        """The names of the Slurm nodes other than this machine; empty if Slurm is not installed or does not answer."""
        here = os.uname().nodename.split(".")[0]
        return [node for node in slurm.nodes() or () if node.split(".")[0] != here]
