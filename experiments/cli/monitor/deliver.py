"""``walking-noise deliver``: writes to the database the results that workers stored on disk."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def deliver(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="folder named in the log of the worker: STATE/undelivered")
    ],
) -> None:
    """Write to the database the results that workers stored on disk while it was unreachable.

    Example: walking-noise deliver $WALKING_NOISE_STATE/undelivered
    """
    from experiments.database.connection import connect
    from experiments.errors import UserError
    from experiments.terminal.text_table import in_words
    from experiments.worker.delivery.spool import deliver_spool

    if not folder.is_dir():
        raise UserError(f"folder {folder} does not exist; give the folder that the log of the worker names")
    database = connect()
    with database.client:
        outcome = deliver_spool(folder, database)
    print(f"{in_words(outcome.delivered, 'result')} written to the database")
    if outcome.outdated:
        results = in_words(outcome.outdated, "result")
        print(f"{results} discarded: the run has since been completed, reset or deleted")
    if outcome.foreign:
        results = in_words(outcome.foreign, "result")
        print(f"{results} left on disk: the database does not know the worker; check SEML's configuration")
    for fault in outcome.faults:
        print(f"walking-noise: {fault}", file=sys.stderr)
    if outcome.faults:
        raise typer.Exit(1)
