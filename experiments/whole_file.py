"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path
from typing import IO

from experiments.errors import UserError


def write_whole(file: Path, text: str) -> None:
    """Write a file, in a folder that is made if it is not there, by way of a temporary one beside it.

    Raises
    ------
    UserError
        It cannot be written there.
    """
    try:
        with _part_of(file) as part:
            try:
                part.write(text)
                part.close()
                Path(part.name).replace(file)
            except BaseException:
                Path(part.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise _not_writable(file, error) from None


def check_writable(file: Path) -> None:
    """Raise the :class:`UserError` of :func:`write_whole`, if it would, before there is anything to write."""
    try:
        if file.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with _part_of(file) as part:
            Path(part.name).unlink()
    except OSError as error:
        raise _not_writable(file, error) from None


def _part_of(file: Path) -> IO[str]:
    file.parent.mkdir(parents=True, exist_ok=True)
    return tempfile.NamedTemporaryFile("w", dir=file.parent, suffix=".part", delete=False)


def _not_writable(file: Path, error: OSError) -> UserError:
    return UserError(f"{file}: it cannot be written: {error.strerror}")
