"""``walking-noise watch``: shows the progress of studies on one screen."""

from __future__ import annotations

import contextlib
from typing import Annotated

import typer

from experiments.cli.parameters import Collections


def watch(
    collections: Collections,
    once: Annotated[bool, typer.Option("--once", help="show the screen once and exit")] = False,
    seconds: Annotated[
        float, typer.Option(metavar="N", min=1, max=86_400, help="seconds between two queries; longer if they are slow")
    ] = 10,
) -> None:
    """Show runs, active workers, rates, failures and remaining time of collections on one screen. Ctrl-C ends it.

    Example: walking-noise watch table1_mnist
    """
    from experiments.status import watch_loop

    if once:
        watch_loop.once(collections)
    else:
        with contextlib.suppress(KeyboardInterrupt):
            watch_loop.watch(collections, seconds)
