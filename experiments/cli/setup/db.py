"""``walking-noise db``: starts and stops the embedded database."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from experiments.database.embedded_server import DEFAULT_FOLDER, FOLDER_VARIABLE, EmbeddedDatabase
from experiments.errors import UserError

ONE_HOST = "it serves this host only; the nodes of a cluster need a MongoDB that they can reach, see docs/cluster.md"

app = typer.Typer(
    name="db", help="Manage the embedded database: a MongoDB for this machine, with its data in one folder."
)

Folder = Annotated[
    Path | None,
    typer.Option(help=f"folder of data, log and SEML configuration; default: ${FOLDER_VARIABLE} or ./{DEFAULT_FOLDER}"),
]


@app.command()
def start(folder: Folder = None) -> None:
    """Start the database and wait until it answers.

    Example: walking-noise db start
    """
    database = EmbeddedDatabase(folder)
    started = database.start()
    print(f"{'started' if started else 'already running'}: {_description(database)}")
    print(
        f'in each shell that uses it, run: eval "$(walking-noise db env --folder {shlex.quote(str(database.folder))})"'
    )
    print(ONE_HOST)


@app.command()
def stop(folder: Folder = None) -> None:
    """Stop the database; its data are kept.

    Example: walking-noise db stop
    """
    database = EmbeddedDatabase(folder)
    stopped = database.stop()
    print(f"stopped: {database.folder}" if stopped else f"not running: {database.folder}")


@app.command()
def status(folder: Folder = None) -> None:
    """Show whether the database runs, and where; exit code 0 if it runs and answers, else 3.

    Example: walking-noise db status
    """
    database = EmbeddedDatabase(folder)
    if not database.server.running:
        print(f"not running: {database.folder}")
        raise typer.Exit(3)
    print(f"{'running' if database.answers else 'running, but not answering'}: {_description(database)}")
    if not database.answers:
        raise typer.Exit(3)


@app.command()
def env(folder: Folder = None) -> None:
    """Print the variable through which `seml` finds the database.

    Example: eval "$(walking-noise db env)"
    """
    database = EmbeddedDatabase(folder)
    quoted = shlex.quote(str(database.folder))
    command = f"start it with: walking-noise db start --folder {quoted}"
    if database.access is None:
        raise UserError(f"there is no embedded database in {quoted}; {command}")
    if not database.server.running:
        print(f"walking-noise: the embedded database is not running; {command}", file=sys.stderr)
    print(f"export XDG_CONFIG_HOME={quoted}")
    print("# affects the whole shell: other programs read their configuration from there, too")


def _description(database: EmbeddedDatabase) -> str:
    access = database.access
    place = f"127.0.0.1:{access.port}, " if access else ""
    return f"{place}process {database.server.pid}, in {database.folder}"
