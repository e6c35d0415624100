"""``walking-noise hours``: what studies spend."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace, _SubParsersAction
from pathlib import Path


def add_parser(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Add ``hours``."""
    text = "hours of GPUs and processors that collections have used, of these wasted, and still planned"
    hours = commands.add_parser("hours", help=text, description=text)
    hours.add_argument("collections", metavar="COLLECTION", nargs="+", help="of SEML")
    measured = "speeds as `walking-noise bench --save` keeps them, for runs of which none like them has a result yet"
    hours.add_argument("--throughput", metavar="FILE", type=Path, help=measured)
    hours.add_argument("--json", metavar="FILE", type=Path, help="write the numbers to a file, too")
    hours.set_defaults(run=_run)


def _run(options: Namespace) -> int:
    from experiments.database.run_collections import open_database
    from experiments.plan import throughput
    from experiments.status.hours_table import accounts, describe
    from experiments.terminal.output_file import check_writable, write_whole

    if options.json is not None:
        check_writable(options.json)
    devices = throughput.known(options.throughput)
    names = list(dict.fromkeys(options.collections))
    with open_database(names) as database:
        found = accounts(database, names, next(iter(devices), None))
    if options.json is not None:
        write_whole(options.json, json.dumps([account.numbers() for account in found], indent=1))
    print("\n".join(describe(found)))
    return 0
