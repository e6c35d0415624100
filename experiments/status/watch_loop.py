"""Loop of ``walking-noise watch``: query the status of collections at intervals and show it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from time import monotonic, sleep

from rich.console import Console
from rich.live import Live
from rich.text import Text

from experiments.database.connection import DatabaseError
from experiments.database.run_collections import open_database
from experiments.status.progress_text import MAX_QUERY_SHARE
from experiments.status.study_status import StudyStatus, study_status
from experiments.status.watch_screen import HEIGHT, WIDTH, screen


def once(names: Sequence[str]) -> None:
    """Show the status of the named collections once.

    Raises
    ------
    UserError
        There is no such collection, or no database.
    """
    console = _console()
    status, _ = query(names)
    console.print(screen(status, _height(console)))


def watch(names: Sequence[str], seconds: float) -> None:
    """Show the status of the named collections until interrupted.

    On a terminal each screen replaces the one before; elsewhere screens follow each other. If the database becomes
    unavailable, the error is printed, the last screen stays, and the query is repeated.

    Parameters
    ----------
    seconds
        Between two queries. The pause is longer if the database would otherwise be busy with queries for more than
        :data:`~experiments.status.progress_text.MAX_QUERY_SHARE` of the time.

    Raises
    ------
    UserError
        There is no such collection, or no database at the first query.
    """
    console = _console()
    with Live(console=console, auto_refresh=False) if console.is_terminal else contextlib.nullcontext() as live:
        for status in _statuses(names, seconds, console):
            shown = screen(status, _height(console))
            if live is not None:
                live.update(shown, refresh=True)
            else:
                console.print(shown)


def _statuses(names: Sequence[str], seconds: float, console: Console) -> Iterator[StudyStatus]:
    status, query_seconds = query(names)
    yield status
    while True:
        sleep(max(seconds, query_seconds / MAX_QUERY_SHARE - query_seconds))
        try:
            status, query_seconds = query(names)
            yield status
        except DatabaseError as error:
            console.print(Text(f"{error}; trying again", "red"))


def query(names: Sequence[str]) -> tuple[StudyStatus, float]:
    """The status of the named collections, over a new connection, and the seconds that the query took."""
    with open_database(names) as database:
        started = monotonic()
        return study_status(database, names), monotonic() - started


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=WIDTH, height=HEIGHT)


def _height(console: Console) -> int:
    return max(console.height, HEIGHT) - 1  # the last line is for the cursor
