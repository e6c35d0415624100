"""Output files that the user has named."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from experiments.errors import UserError
from walking_noise import atomic_file


def write_whole(file: Path, text: str) -> None:
    """Write a file atomically, and create its folder if necessary.

    Raise :class:`UserError` if the file cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file.atomic_write(file) as part:
            part.write(text.encode())
    except OSError as error:
        raise _not_writable(file, error) from None


def check_writable(file: Path) -> None:
    """Raise the :class:`UserError` that :func:`write_whole` would raise, before there is anything to write."""
    try:
        if file.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        atomic_file.check_writable(file.parent)
    except OSError as error:
        raise _not_writable(file, error) from None


def _not_writable(file: Path, error: OSError) -> UserError:
    return UserError(f"{file}: cannot be written: {error.strerror}")
