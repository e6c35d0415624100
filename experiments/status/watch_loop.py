"""Looking at collections again and again, and showing how they stand."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from time import monotonic, sleep

from rich.console import Console
from rich.live import Live
from rich.text import Text

from experiments.database.connection import DatabaseError
from experiments.database.run_collections import open_database
from experiments.status.progress_text import SHARE
from experiments.status.study_status import StudyStatus, study_status
from experiments.status.watch_screen import HEIGHT, WIDTH, screen


def once(names: Sequence[str]) -> None:
    """Show how collections stand.

    Raises
    ------
    UserError
        There is no such collection, or no database.
    """
    console = _console()
    now, _ = look(names)
    console.print(screen(now, _height(console)))


def watch(names: Sequence[str], seconds: float) -> None:
    """Show how collections stand until interrupted: in place on a terminal, else one screen below the other.

    A database that goes away meanwhile is waited for: the screen stays as it was and says so.

    Raises
    ------
    UserError
        There is no such collection, or no database to begin with.
    """
    console = _console()
    with Live(console=console, auto_refresh=False) if console.is_terminal else contextlib.nullcontext() as live:
        for now in _looks(names, seconds, console):
            shown = screen(now, _height(console))
            if live is not None:
                live.update(shown, refresh=True)
            else:
                console.print(shown)


def _looks(names: Sequence[str], seconds: float, console: Console) -> Iterator[StudyStatus]:
    now, took = look(names)
    yield now
    while True:
        sleep(max(seconds, took / SHARE - took))
        try:
            now, took = look(names)
            yield now
        except DatabaseError as error:
            console.print(Text(f"{error}; trying again", "red"))


def look(names: Sequence[str]) -> tuple[StudyStatus, float]:
    """How collections stand, by a connection of its own, and the seconds for which that kept the database busy."""
    with open_database(names) as database:
        started = monotonic()
        return study_status(database, names), monotonic() - started


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=WIDTH, height=HEIGHT)


def _height(console: Console) -> int:
    return max(console.height, HEIGHT) - 1  # the cursor stands below
