"""What SEML hands a worker: one run, to begin with. Only the standard library is imported here."""

from __future__ import annotations

import ast
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Assignment:
    """The run with which SEML starts a worker, and the token under which the worker claims it and others."""

    collection: str
    leader: int
    token: str = field(default_factory=lambda: uuid.uuid4().hex)

    @classmethod
    def from_arguments(cls, arguments: Sequence[str]) -> Assignment | None:
        """Read SEML's ``db_collection='NAME' overwrite=ID``; None without them: a run by hand."""
        given = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
        if "db_collection" not in given or "overwrite" not in given:
            return None
        return cls(str(ast.literal_eval(given["db_collection"])), int(given["overwrite"]))
