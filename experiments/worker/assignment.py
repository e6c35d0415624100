"""Assignment of a worker: the run with which SEML starts it. Imports the standard library only."""

from __future__ import annotations

import ast
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field


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
