"""The place that is examined: each thing that several checks look at, had once."""

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

PATIENCE_MS = 5000
UNFINISHED = ("STAGED", "PENDING", "RUNNING")


class NotChecked(Exception):
    """A check is impossible, because of something that another one reports; the text says what."""


@dataclass
class Site:
    """Where runs are added, started or trained.

    Attributes
    ----------
    names
        The collections to look at; none: all of them.
    mend
        Whether to put right what can be put right without asking.
    configuration_file
        The configuration in the place of the one that SEML reads.
    """

    names: tuple[str, ...] = ()
    mend: bool = False
    configuration_file: Path | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)

    @property
    def file(self) -> Path:
        """SEML's configuration."""
        from seml.settings import SETTINGS

        return self.configuration_file or Path(SETTINGS.DATABASE.MONGODB_CONFIG_PATH)

    @cached_property
    def configuration(self) -> dict[str, Any]:
        try:
            return configuration(self.file)
        except DatabaseError:
            raise NotChecked("SEML's configuration cannot be used") from None

    @cached_property
    def connection(self) -> Database[Document] | DatabaseError:
        """The database, or why there is none."""
        try:
            return connect_to(self.configuration, serverSelectionTimeoutMS=PATIENCE_MS)
        except DatabaseError as error:
            return error

    @property
    def database(self) -> Database[Document]:
        if isinstance(self.connection, DatabaseError):
            raise NotChecked("there is no database")
        return self.connection

    def close(self) -> None:
        """End the connection."""
        connection = vars(self).pop("connection", None)
        if isinstance(connection, Database):
            connection.client.close()

    @cached_property
    def collections(self) -> list[Runs]:
        """The collections of runs to look at, as far as they are there."""
        there = seml_collections(self.database)
        return [self.database[name] for name in there if not self.names or name in self.names]

    @cached_property
    def options(self) -> WorkerOptions:
        """What a worker would read from this environment."""
        try:
            return WorkerOptions.from_environment(self.environment)
        except UserError:
            raise NotChecked("the options of workers cannot be used") from None

    @cached_property
    def nodes(self) -> list[slurm.Node]:
        """The nodes of Slurm."""
        nodes = slurm.nodes()
        if nodes is None:
            raise NotChecked("Slurm does not answer")
        return nodes

    @property
    def other_hosts(self) -> list[str]:
        """The nodes that Slurm has besides this machine; none where there is no Slurm."""
        here = os.uname().nodename.split(".")[0]
        try:
            return [node.name for node in self.nodes if node.name.split(".")[0] != here]
        except NotChecked:
            return []
