"""``walking-noise db``: the embedded database."""

from __future__ import annotations

import shlex
import sys
from argparse import ArgumentParser, Namespace, _SubParsersAction
from pathlib import Path

from experiments.database.embedded_server import DEFAULT_FOLDER, FOLDER_VARIABLE, EmbeddedDatabase
from experiments.errors import UserError

ONE_HOST = "it serves this host only; runs on a cluster's nodes need a MongoDB that these reach: see CLUSTER.md"


def add_parser(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Add ``db`` and what can be done with it."""
    db = commands.add_parser("db", help="the embedded database: a MongoDB for this machine, in a folder")
    actions = db.add_subparsers(metavar="ACTION", required=True)
    for name, run, text in (
        ("start", _start, "start it and wait until it answers"),
        ("stop", _stop, "stop it; its data stay"),
        ("status", _status, "say whether it runs, and where; exit code 0 if it does, 3 if not"),
        ("env", _env, 'print what a shell needs for its seml to find it: eval "$(walking-noise db env)"'),
    ):
        action = actions.add_parser(name, help=text, description=text)
        folder = f"of its data, log and SEML's configuration; default: ${FOLDER_VARIABLE}, else {DEFAULT_FOLDER} here"
        action.add_argument("--folder", type=Path, help=folder)
        action.set_defaults(run=run)


def _start(options: Namespace) -> int:
    database = EmbeddedDatabase(options.folder)
    started = database.start()
    print(f"{'started' if started else 'runs already'}: {_description(database)}")
    print(f'in every shell that uses it: eval "$(walking-noise db env --folder {shlex.quote(str(database.folder))})"')
    print(ONE_HOST)
    return 0


def _stop(options: Namespace) -> int:
    database = EmbeddedDatabase(options.folder)
    stopped = database.stop()
    print(f"stopped: {database.folder}" if stopped else f"does not run: {database.folder}")
    return 0


def _status(options: Namespace) -> int:
    database = EmbeddedDatabase(options.folder)
    if not database.server.running:
        print(f"does not run: {database.folder}")
        return 3
    print(f"{'runs' if database.answers else 'runs, but does not answer'}: {_description(database)}")
    return 0 if database.answers else 3


def _env(options: Namespace) -> int:
    database = EmbeddedDatabase(options.folder)
    folder = shlex.quote(str(database.folder))
    start = f"start it with: walking-noise db start --folder {folder}"
    if database.access is None:
        raise UserError(f"no embedded database in {folder}; {start}")
    if not database.server.running:
        print(f"walking-noise: the embedded database does not run; {start}", file=sys.stderr)
    print(f"export XDG_CONFIG_HOME={folder}")
    print("# counts for the whole shell: other programs look for their configuration there, too")
    return 0


def _description(database: EmbeddedDatabase) -> str:
    access = database.access
    place = f"127.0.0.1:{access.port}, " if access else ""
    return f"{place}process {database.server.pid}, in {database.folder}"
