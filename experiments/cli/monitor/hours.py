"""``walking-noise hours``: the GPU and CPU hours of studies."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace, _SubParsersAction
from pathlib import Path


def add_parser(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Add the command ``hours``."""
    text = "Report the GPU and CPU hours of collections: used, wasted (a part of the used hours) and still needed."
    hours = commands.add_parser("hours", help=text, description=text)
    hours.add_argument("collections", metavar="COLLECTION", nargs="+", help="name of a SEML collection")
    measured = "speeds measured by `walking-noise bench --save`, for kinds of runs without a completed run"
    hours.add_argument("--throughput", metavar="FILE", type=Path, help=measured)
    hours.add_argument("--json", metavar="FILE", type=Path, help="also write the numbers to this file")
    hours.set_defaults(run=_run)


def _run(options: Namespace) -> int:
    from experiments.database.run_collections import open_database
    from experiments.plan import throughput
    from experiments.status.hours_table import describe, study_hours
    from experiments.terminal.output_file import check_writable, write_whole

    if options.json is not None:
        check_writable(options.json)
    devices = throughput.known(options.throughput)
    names = list(dict.fromkeys(options.collections))
    with open_database(names) as database:
        rows = study_hours(database, names, next(iter(devices), None))
    if options.json is not None:
        write_whole(options.json, json.dumps([row.numbers() for row in rows], indent=1))
    print("\n".join(describe(rows)))
    return 0
