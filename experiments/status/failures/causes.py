"""The cause of a failure, in words that are equal for equal causes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath

LONGEST = 200
"""A cause has no more characters than this."""

FRAME = re.compile(r'^\s*File "(?P<file>[^"]+)", line \d+, in (?P<function>\S+)')

CODE = r"(?<!signal )(?<!code )(?<!Errno )"
"""Not behind these words: there a number says what went wrong."""

VARYING = (
    (re.compile(r"(?<![\w.])~?(?:/[\w.+@=,-]+)+/?"), "PATH"),
    (re.compile(r"\b0x[0-9a-f]+\b|\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{8,}\b", re.IGNORECASE), "ID"),
    (re.compile(CODE + r"[-+]?(?<![\w.])\d+(?:[.,:_-]\d+)*(?:e[-+]?\d+)?(?![\w.]*[a-z_])", re.IGNORECASE), "N"),
    (re.compile(r"\bN(?: ?[KMGT]i?B| bytes)\b"), "N bytes"),
    (re.compile(r"\bN(?:, N)+"), "N, …"),
)
"""What differs between failures of one cause, and what is written for it; applied in this order."""


def cause_of(trace: Sequence[str], host: str | None = None) -> str:
    """What went wrong, and where, by a traceback or what else stands for one.

    Numbers, ids, paths and the name of the node are left out. A traceback gives its last frame and its exception; what
    has none, its first line.

    Parameters
    ----------
    trace
        Lines, or texts of several lines.
    host
        The node on which it happened.
    """
    lines = [line.rstrip() for text in trace for line in text.splitlines() if line.strip()]
    if not lines:
        return "no reason was kept"
    frames = [(number, found) for number, line in enumerate(lines) if (found := FRAME.match(line))]
    if not frames:
        return normalised(lines[0], host)
    number, frame = frames[-1]
    message = next((line for line in lines[number + 1 :] if not line[0].isspace()), "no exception was kept")
    return f"{normalised(message, host)} ({PurePath(frame['file']).name}, in {frame['function']})"


def normalised(text: str, host: str | None = None) -> str:
    """A line without what differs between failures of one cause."""
    if host:
        text = re.sub(rf"(?<![\w-]){re.escape(host)}(?![\w-])", "NODE", text)
    for pattern, word in VARYING:
        text = pattern.sub(word, text)
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
