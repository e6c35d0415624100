"""Output folder of the report. It is replaced as a whole, so that it is never incomplete."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from analysis.errors import AnalysisError

MARK = "walking_noise analysis.report"
"""Text in the index.html of every report, also of earlier versions. A folder without it is never replaced."""

FILES = "files"
"""Folder below the report's folder with figures and tables."""


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """Yield a new folder. It replaces ``folder`` when the block ends without an error.

    Raises
    ------
    AnalysisError
        ``folder`` is neither empty nor a report, or it cannot be written.
    """
    target = folder.resolve()
    check_replaceable(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise AnalysisError(f"cannot write to {folder.parent}: {error.strerror}; choose another --out") from None
    try:
        new, old = work / "new", work / "old"
        new.mkdir()
        yield new
        if target.exists():
            target.rename(old)
        new.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def check_replaceable(folder: Path) -> None:
    """Raise AnalysisError unless ``folder`` is missing, empty or a report."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    index = folder / "index.html"
    if not index.is_file() or MARK not in index.read_text(encoding="utf-8", errors="replace"):
        raise AnalysisError(f"{folder} is not a report and is not overwritten; choose another --out")
