"""Assignment of a worker: the run with which SEML starts it. Imports the standard library only."""

from __future__ import annotations

import ast
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Assignment:
    """The run with which SEML starts a worker, and the token under which the worker leases it and its companions."""

    collection: str
    leader: int
    token: str = field(default_factory=lambda: uuid.uuid4().hex)

    @classmethod
    def from_arguments(cls, arguments: Sequence[str]) -> Assignment | None:
        """Parse SEML's ``db_collection='NAME' overwrite=ID``; None without them, for a run without a database."""
        values = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
        if "db_collection" not in values or "overwrite" not in values:
            return None
        return cls(str(ast.literal_eval(values["db_collection"])), int(values["overwrite"]))

    def started_here(self, leader: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> bool:
        """Whether the leader's document names this Slurm task, or no task."""
        names = {"array_id": "SLURM_ARRAY_JOB_ID", "task_id": "SLURM_ARRAY_TASK_ID"}
        execution = leader.get("execution", {})
        return all(
            str(execution[name]) == environment[variable]
            for name, variable in names.items()
            if name in execution and variable in environment
        )
