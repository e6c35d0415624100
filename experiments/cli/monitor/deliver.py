"""``walking-noise deliver``: stores results in the database that workers could only write to disk."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace, _SubParsersAction
from pathlib import Path


def add_parser(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Add the command ``deliver``."""
    text = "Store results in the database that workers wrote to disk while the database was unreachable."
    deliver = commands.add_parser("deliver", help=text, description=text)
    deliver.add_argument(
        "folder", metavar="FOLDER", type=Path, help="folder named in the log of the worker: STATE/undelivered"
    )
    deliver.set_defaults(run=_run)


def _run(options: Namespace) -> int:
    from experiments.database.connection import connect
    from experiments.errors import UserError
    from experiments.worker.delivery.spool import Spool

    if not options.folder.is_dir():
        raise UserError(f"folder {options.folder} does not exist; give the folder that the log of the worker names")
    outcome = Spool(options.folder).deliver(connect())
    print(f"{outcome.delivered} results stored in the database")
    if outcome.outdated:
        print(f"{outcome.outdated} results discarded: their runs have since been completed, reset or deleted")
    if outcome.foreign:
        print(
            f"{outcome.foreign} results left on disk: the database does not know their workers; check its configuration"
        )
    for fault in outcome.faults:
        print(f"walking-noise: {fault}", file=sys.stderr)
    return 1 if outcome.faults else 0
