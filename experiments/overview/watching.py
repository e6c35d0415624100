"""Looking at collections again and again, and showing how they stand."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from time import monotonic, sleep

from rich.console import Console
from rich.live import Live
from rich.text import Text

from experiments.mongodb.database import DatabaseError
from experiments.mongodb.run_collections import database_with
from experiments.overview.screen import HEIGHT, WIDTH, screen
from experiments.overview.standing import Standing, standing
from experiments.overview.watch import SHARE


def once(names: Sequence[str]) -> None:
    """Show how collections stand.

    Raises
    ------
    UserError
        There is no such collection, or no database.
    """
    console = _console()
    console.print(screen(look(names), _height(console)))


def watch(names: Sequence[str], seconds: float) -> None:
    """Show how collections stand until interrupted: in place on a terminal, else one screen below the other.

    While the database is away, the screen stays as it was and says so.

    Raises
    ------
    UserError
        There is no such collection.
    """
    console = _console()
    with Live(console=console, auto_refresh=False) if console.is_terminal else contextlib.nullcontext() as live:
        while True:
            started = monotonic()
            try:
                now = screen(look(names), _height(console))
                if live is not None:
                    live.update(now, refresh=True)
                else:
                    console.print(now)
            except DatabaseError as error:
                console.print(Text(f"{error}; trying again", "red"))
            took = monotonic() - started
            sleep(max(seconds, took / SHARE) - took)


def look(names: Sequence[str]) -> Standing:
    """How collections stand, by a connection of its own."""
    with database_with(names) as database:
        return standing(database, names)


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=WIDTH, height=HEIGHT)


def _height(console: Console) -> int:
    return max(console.height, HEIGHT) - 1  # the cursor stands below
