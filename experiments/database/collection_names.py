"""Names of collections that SEML, Sacred, MongoDB and the files of the runs' logs can have."""

from __future__ import annotations

import re
import warnings

from experiments.errors import UserError

NAME = re.compile(r"\w[\w-]*(\.[\w-]+)*")
MAX_BYTES = 200
"""MongoDB allows 255 bytes together with the name of the database, a file system 255 with the id of a run."""
RESERVED = r"metrics|_properties|search_spaces?|(system|fs|walking_noise)\..*|.*\.(files|chunks)"
"""Names of collections of Sacred, of MongoDB, of its file storage, and of this package's history."""


def check_name(name: str) -> None:
    """Raise :class:`UserError` if a collection of runs cannot have this name."""
    if not NAME.fullmatch(name):
        reason = "allowed are letters, digits, '_', '-', and '.' between them"
    elif len(name.encode()) > MAX_BYTES:
        reason = f"it is longer than {MAX_BYTES} bytes"
    elif re.fullmatch(RESERVED, name):
        reason = "Sacred, MongoDB or this package store other data under this name"
    elif name in _commands():
        reason = "it is the name of a command of SEML"
    else:
        return
    raise UserError(f"{name[:MAX_BYTES]!r} cannot be the name of a collection: {reason}; choose another name")


def _commands() -> set[str]:
    from typer.main import get_group

    with warnings.catch_warnings(action="ignore"):  # SEML uses deprecated parameters of Typer
        from seml.__main__ import app
    return set(get_group(app).commands)
