"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

READABLE = 0o644
"""Mode of a file that others of a cluster may read."""


@contextmanager
def atomic_write(file: Path) -> Iterator[IO[bytes]]:
    """A new file, which takes the place of ``file`` when the block ends without an error, and else is gone.

    Raises
    ------
    OSError
        Nothing can be written to the folder.
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
