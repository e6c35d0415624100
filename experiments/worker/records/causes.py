"""Cause of a failure: a text that is the same for all failures of one cause."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath

MAX_LENGTH = 200
"""Largest number of characters of a line in a cause."""

OPTION_PREFIX = "WALKING_NOISE_"
"""Beginning of a cause that is an invalid option of workers, which is stored with the run."""

FRAME = re.compile(r'^\s*File "(?P<file>[^"]+)", line \d+, in (?P<function>\S+)')

NOT_A_CODE = r"(?<!signal )(?<!code )(?<!Errno )"
"""Lookbehind: a number after one of these words is kept, since it names the error."""

VARYING = (
    (re.compile(r"(?<![\w.])~?(?:/[\w.+@=,-]+)+/?"), "PATH"),
    (re.compile(r"\b0x[0-9a-f]+\b|\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{8,}\b", re.IGNORECASE), "ID"),
    (re.compile(NOT_A_CODE + r"[-+]?(?<![\w.])\d+(?:[.,:_-]\d+)*(?:e[-+]?\d+)?(?![\w.]*[a-z_])", re.IGNORECASE), "N"),
    (re.compile(r"\bN(?: ?[KMGT]i?B| bytes)\b"), "N bytes"),
    (re.compile(r"\bN(?:, N)+"), "N, …"),
)
"""Patterns of text that differs between failures of one cause, with their replacements; applied in this order."""


MACHINE = re.compile(
    r"the GPU failed|CUDA error|CUDA driver|ECC error|this machine has no such device|cannot open shared object file"
    r"|No space left|Disk quota|Input/output error|Stale file handle|Read-only file system"
    r"|\bdata set [^:]*: (?!its function returns)"
)
"""Pattern of causes that belong to a machine: the GPU, the disk, or data that the machine cannot read."""


def cause_of(trace: Sequence[str], host: str | None = None) -> str:
    """The error of a traceback and the place where it was raised.

    The cause consists of the traceback's exception and its last frame. A text that is not a traceback gives its first
    line. Numbers, ids, paths and the name of the node (``host``) are replaced by placeholders. ``trace`` has lines, or
    texts of several lines.
    """
    lines = [line.rstrip() for text in trace for line in text.splitlines() if line.strip()]
    if not lines:
        return "no reason recorded"
    frames = [(number, match) for number, line in enumerate(lines) if (match := FRAME.match(line))]
    if not frames:
        return normalised(lines[0], host)
    number, frame = frames[-1]
    message = next((line for line in lines[number + 1 :] if not line[0].isspace()), "no exception recorded")
    return f"{normalised(message, host)} ({PurePath(frame['file']).name}, in {frame['function']})"


def normalised(text: str, host: str | None = None) -> str:
    """A line with placeholders for everything that differs between failures of one cause, and of limited length.

    The value of an invalid option of workers stays: it is the same in all runs that were added together.
    """
    if host:
        text = re.sub(rf"(?<![\w-]){re.escape(host)}(?![\w-])", "NODE", text)
    for pattern, placeholder in () if text.startswith(OPTION_PREFIX) else VARYING:
        text = pattern.sub(placeholder, text)
    text = " ".join(text.split())
    return text if len(text) <= MAX_LENGTH else f"{text[: MAX_LENGTH - 1]}…"
