"""Set-up of a program, so that it does not depend on the user's terminal and account."""

from __future__ import annotations

import codecs
import contextlib
import getpass
import io
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ASCII = {
    **{"μ": "mu", "σ": "sigma", "±": "+-", "×": "x", "≥": ">=", "≤": "<=", "–": "-", "…": "...", "→": "->"},
    **{"█": "#", "▒": "=", "·": "."},
}
"""Replacements of characters that a terminal lacks."""


def set_up() -> None:
    """Prepare the process of a program. Call it before large libraries are imported.

    Programs write figures to files only; Jupyter's terminals name a backend of Matplotlib that may not be installed.
    Characters that the terminal lacks are printed in ASCII. Torch asks for the name of the user, who may have no entry
    in the list of users of a container.
    """
    os.environ["MPLBACKEND"] = "Agg"
    if isinstance(sys.stdout, io.TextIOWrapper):
        codecs.register_error("in_ascii", _in_ascii)
        with contextlib.suppress(OSError):  # the stream is no longer what Python opened
            sys.stdout.reconfigure(errors="in_ascii")
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["USER"] = str(os.getuid())
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = tempfile.gettempdir()


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    """The replacement of a character that an encoding lacks, and the position after it."""
    assert isinstance(error, UnicodeEncodeError)
    return ASCII.get(error.object[error.start], "?"), error.start + 1


@contextlib.contextmanager
def closed_pipe_ignored() -> Iterator[None]:
    """Context of printing: if the reader has closed the pipe, as ``head`` does, the rest is not printed."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at the end of the process
