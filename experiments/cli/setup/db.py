"""``walking-noise db``: starts and stops the embedded database."""

from __future__ import annotations

import shlex
import sys
from argparse import ArgumentParser, Namespace, _SubParsersAction
from pathlib import Path

from experiments.database.embedded_server import DEFAULT_FOLDER, FOLDER_VARIABLE, EmbeddedDatabase
from experiments.errors import UserError

ONE_HOST = "it serves this host only; the nodes of a cluster need a MongoDB that they can reach, see CLUSTER.md"


def add_parser(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Add the command ``db`` and its actions."""
    summary = "Manage the embedded database: a MongoDB for this machine, with its data in one folder."
    db = commands.add_parser("db", help=summary, description=summary)
    actions = db.add_subparsers(metavar="ACTION", required=True)
    for name, run, text in (
        ("start", _start, "Start the database and wait until it answers."),
        ("stop", _stop, "Stop the database; its data are kept."),
        ("status", _status, "Show whether the database runs, and where; exit code 0 if it runs and answers, else 3."),
        (
            "env",
            _env,
            'Print the variable through which `seml` finds the database, for: eval "$(walking-noise db env)"',
        ),
    ):
        action = actions.add_parser(name, help=text, description=text)
        folder = f"folder of data, log and SEML configuration; default: ${FOLDER_VARIABLE} or ./{DEFAULT_FOLDER}"
        action.add_argument("--folder", type=Path, help=folder)
        action.set_defaults(run=run)


def _start(options: Namespace) -> int:
    database = EmbeddedDatabase(options.folder)
    started = database.start()
    print(f"{'started' if started else 'already running'}: {_description(database)}")
    print(
        f'in each shell that uses it, run: eval "$(walking-noise db env --folder {shlex.quote(str(database.folder))})"'
    )
    print(ONE_HOST)
    return 0


def _stop(options: Namespace) -> int:
    database = EmbeddedDatabase(options.folder)
    stopped = database.stop()
    print(f"stopped: {database.folder}" if stopped else f"not running: {database.folder}")
    return 0


def _status(options: Namespace) -> int:
    database = EmbeddedDatabase(options.folder)
    if not database.server.running:
        print(f"not running: {database.folder}")
        return 3
    print(f"{'running' if database.answers else 'running, but not answering'}: {_description(database)}")
    return 0 if database.answers else 3


def _env(options: Namespace) -> int:
    database = EmbeddedDatabase(options.folder)
    folder = shlex.quote(str(database.folder))
    start = f"start it with: walking-noise db start --folder {folder}"
    if database.access is None:
        raise UserError(f"there is no embedded database in {folder}; {start}")
    if not database.server.running:
        print(f"walking-noise: the embedded database is not running; {start}", file=sys.stderr)
    print(f"export XDG_CONFIG_HOME={folder}")
    print("# affects the whole shell: other programs read their configuration from there, too")
    return 0


def _description(database: EmbeddedDatabase) -> str:
    access = database.access
    place = f"127.0.0.1:{access.port}, " if access else ""
    return f"{place}process {database.server.pid}, in {database.folder}"
