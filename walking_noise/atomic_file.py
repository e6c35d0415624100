"""Atomic writing of files, of which a reader finds the complete one or none; check of a folder before that."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

READABLE = 0o644
"""Mode of a written file: other users of a cluster can read it."""


@contextmanager
def atomic_write(file: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file that replaces ``file`` when the block ends without an error, and is deleted otherwise.

    Raise OSError if the folder is not writable.
    """
    with tempfile.NamedTemporaryFile(dir=file.parent, suffix=".part", delete=False) as part:
        try:
            yield part
            part.flush()
            os.fsync(part.fileno())
            part.close()
            Path(part.name).chmod(READABLE)
            Path(part.name).replace(file)
        except BaseException:
            Path(part.name).unlink(missing_ok=True)
            raise


def check_writable(folder: Path) -> None:
    """Create ``folder`` if it is missing, and a temporary file in it; OSError if files cannot be written there."""
    folder.mkdir(parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=folder).close()
