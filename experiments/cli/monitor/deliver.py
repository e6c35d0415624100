"""``walking-noise deliver``: results that were kept on disk while the database was away."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace, _SubParsersAction
from pathlib import Path


def add_parser(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Add ``deliver``."""
    text = "bring the results that workers kept on disk, while the database was away, into their runs"
    deliver = commands.add_parser("deliver", help=text, description=text)
    deliver.add_argument("folder", metavar="FOLDER", type=Path, help="that the worker named, STATE/undelivered")
    deliver.set_defaults(run=_run)


def _run(options: Namespace) -> int:
    from experiments.database.connection import connect
    from experiments.errors import UserError
    from experiments.worker.delivery.spool import Spool

    if not options.folder.is_dir():
        raise UserError(f"{options.folder}: there is no such folder")
    brought = Spool(options.folder).deliver(connect())
    print(f"{brought.delivered} results are in the database")
    if brought.outdated:
        print(f"{brought.outdated} were not needed: their runs were completed, reset or deleted meanwhile")
    if brought.foreign:
        print(f"{brought.foreign} stay on disk: this database does not know their workers; is it the right one?")
    for fault in brought.faults:
        print(f"walking-noise: {fault}", file=sys.stderr)
    return 1 if brought.faults else 0
