"""``walking-noise deliver``: writes to the database the results that workers stored on disk."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace, _SubParsersAction
from pathlib import Path


def add_parser(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Add the command ``deliver``."""
    text = "Write to the database the results that workers stored on disk while it was unreachable."
    deliver = commands.add_parser("deliver", help=text, description=text)
    deliver.add_argument(
        "folder", metavar="FOLDER", type=Path, help="folder named in the log of the worker: STATE/undelivered"
    )
    deliver.set_defaults(run=_run)


def _run(options: Namespace) -> int:
    from experiments.database.connection import connect
    from experiments.errors import UserError
    from experiments.terminal.text_table import in_words
    from experiments.worker.delivery.spool import Spool

    if not options.folder.is_dir():
        raise UserError(f"folder {options.folder} does not exist; give the folder that the log of the worker names")
    outcome = Spool(options.folder).deliver(connect())
    print(f"{in_words(outcome.delivered, 'result')} written to the database")
    if outcome.outdated:
        results = in_words(outcome.outdated, "result")
        print(f"{results} discarded: the run has since been completed, reset or deleted")
    if outcome.foreign:
        results = in_words(outcome.foreign, "result")
        print(f"{results} left on disk: the database does not know the worker; check SEML's configuration")
    for fault in outcome.faults:
        print(f"walking-noise: {fault}", file=sys.stderr)
    return 1 if outcome.faults else 0
