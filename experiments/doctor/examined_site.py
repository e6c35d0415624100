"""Examined site: configuration, database, options and nodes, each read once and shared by the checks."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pymongo.database import Database

from experiments import slurm
from experiments.database.connection import DatabaseError, Document, Runs, configuration, connect_to
from experiments.database.run_collections import seml_collections
from experiments.errors import UserError
from experiments.worker.worker_options import WorkerOptions

SERVER_TIMEOUT_MS = 5000
UNFINISHED = ("STAGED", "PENDING", "RUNNING")


class NotChecked(Exception):
    """Raised if a check is impossible because of a problem that another check reports; the text names the problem."""


@dataclass
class Site:
    """Site where runs are added, started or trained.

    Attributes
    ----------
    names
        The collections to check; empty for all collections.
    fix
        Whether to create missing indexes.
    configuration_file
        A configuration file to use instead of the one that SEML reads; None for SEML's.
    environment
        The environment variables to check.
    """

    names: tuple[str, ...] = ()
    fix: bool = False
    configuration_file: Path | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)

    @property
    def file(self) -> Path:
        """The configuration file of SEML."""
        from seml.settings import SETTINGS

        return self.configuration_file or Path(SETTINGS.DATABASE.MONGODB_CONFIG_PATH)

    @cached_property
    def configuration(self) -> dict[str, Any]:
        try:
            return configuration(self.file)
        except DatabaseError:
            raise NotChecked("the configuration of SEML is invalid") from None

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

    @cached_property
    def options(self) -> WorkerOptions:
        """The options that a worker would read from the environment."""
        try:
            return WorkerOptions.from_environment(self.environment)
        except UserError:
            raise NotChecked("the options of workers are invalid") from None

    @cached_property
    def nodes(self) -> list[slurm.Node]:
        """The nodes of Slurm."""
        nodes = slurm.nodes()
        if nodes is None:
            raise NotChecked("Slurm does not answer")
        return nodes

    @property
    def other_hosts(self) -> list[str]:
        """The names of the Slurm nodes other than this machine; empty without Slurm."""
        here = os.uname().nodename.split(".")[0]
        try:
            return [node.name for node in self.nodes if node.name.split(".")[0] != here]
        except NotChecked:
            return []
