"""Loop of ``walking-noise watch``: query the status of collections at intervals and show it."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic, sleep

from rich.console import Console
from rich.text import Text

from experiments.database.connection import DatabaseError
from experiments.database.run_collections import open_database
from experiments.status.progress_text import MAX_QUERY_SHARE
from experiments.status.study_status import StudyStatus, study_status
from experiments.status.watch_screen import HEIGHT, WIDTH, screen


def once(names: Sequence[str], *, in_place: bool = False) -> float:
    """Show the status of the named collections; return the seconds that the query took.

    ``in_place``: on a terminal the screen replaces what the terminal shows. Raise :class:`UserError` if there is no
    such collection, or no database.
    """
    status, query_seconds = query(names)
    console = _console()
    if in_place:
        console.clear()
    console.print(screen(status, max(console.height, HEIGHT) - 1))  # the last line is for the cursor
    return query_seconds


def watch(names: Sequence[str], seconds: float) -> None:
    """Show the status of the named collections until interrupted.

    If the database becomes unavailable, the error is printed, the last screen stays, and the query is repeated. Raise
    :class:`UserError` if there is no such collection, or no database at the first query. The pause between two queries
    is longer than ``seconds`` if the database would otherwise be busy with queries for more than
    :data:`~experiments.status.progress_text.MAX_QUERY_SHARE` of the time.
    """
    query_seconds = once(names, in_place=True)
    while True:
        sleep(max(seconds, query_seconds / MAX_QUERY_SHARE - query_seconds))
        try:
            query_seconds = once(names, in_place=True)
        except DatabaseError as error:
            _console().print(Text(f"{error}; trying again", "red"))


def query(names: Sequence[str]) -> tuple[StudyStatus, float]:
    """The status of the named collections, over a new connection, and the seconds that the query took."""
    with open_database(names) as database:
        started = monotonic()
        return study_status(database, names), monotonic() - started


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=WIDTH, height=HEIGHT)
