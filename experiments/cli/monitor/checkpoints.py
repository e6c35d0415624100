"""``walking-noise checkpoints``: lists the checkpoints of workers and removes those that no run needs."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.errors import UserError

if TYPE_CHECKING:
    from experiments.status.checkpoint_usage import Kept


app = typer.Typer(
    name="checkpoints", help="List the checkpoints of unfinished trainings, or remove those that no run needs."
)

Folder = Annotated[
    Path | None, typer.Option(metavar="DIR", help="state folder of the workers; default: $WALKING_NOISE_STATE")
]


@app.command("list")
def list_all(folder: Folder = None) -> None:
    """Show the number and size of checkpoints, grouped by whether an unfinished run needs them.

    Example: walking-noise checkpoints list
    """
    from experiments.database.connection import DatabaseError
    from experiments.status.checkpoint_usage import kept
    from experiments.terminal.text_table import in_words
    from experiments.worker.worker_options import WorkerOptions

    state = _state(folder)
    try:
        files = _files(state)
    except DatabaseError as error:
        print(f"walking-noise: cannot determine which checkpoints are needed: {error}", file=sys.stderr)
        files = kept(state / "checkpoints", None)
    quota = WorkerOptions.from_environment().state_quota
    allowed = f" of {_size([quota])} (WALKING_NOISE_STATE_QUOTA)" if quota else ""
    print(f"{state / 'checkpoints'}: {in_words(len(files), 'file')}, {_size(file.bytes for file in files)}{allowed}")
    _print_details(state, files)


@app.command()
def clean(
    folder: Folder = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only report what would be removed")] = False,
    older_than: Annotated[
        float, typer.Option(metavar="DAYS", min=0, help="only remove files last written DAYS days ago or earlier")
    ] = 0,
) -> None:
    """Remove damaged checkpoints and those that no unfinished run of any collection needs.

    Example: walking-noise checkpoints clean --dry-run --older-than 7
    """
    from experiments.status.checkpoint_usage import DAY, REMOVED
    from experiments.terminal.text_table import in_words

    state = _state(folder)
    files = _files(state)
    removable = [file for file in files if file.need in REMOVED and file.age >= older_than * DAY]
    if not dry_run:
        for removed in removable:
            removed.file.unlink(missing_ok=True)
    result = "would be removed" if dry_run else "removed"
    size = _size(file.bytes for file in removable)
    print(f"{result}: {len(removable):,} of {in_words(len(files), 'file')}, {size}")
    _print_details(state, removable)


def _state(folder: Path | None) -> Path:
    from experiments.worker.worker_options import WorkerOptions

    folder = folder or WorkerOptions.from_environment().state
    if folder is None:
        raise UserError(
            "the state folder of the workers is not given; use --folder DIR or set WALKING_NOISE_STATE (without this "
            "variable, workers use the folder `state` next to the logs of their runs)"
        )
    return folder


def _files(state: Path) -> list[Kept]:
    """The files in the folder of checkpoints; the database is queried only if there are any."""
    from experiments.database.run_collections import open_database
    from experiments.status.checkpoint_usage import kept, needs
    from experiments.terminal.progress_line import ProgressLine

    if not kept(state / "checkpoints", None):
        return []
    line = ProgressLine()
    with open_database([]) as database:
        try:
            return kept(state / "checkpoints", needs(database, line.show))
        finally:
            line.end()


def _print_details(state: Path, files: list[Kept]) -> None:
    """Print the files by need, and the number of results that are still to be delivered."""
    from experiments.status.checkpoint_usage import Need
    from experiments.terminal.text_table import in_words, show, table
    from experiments.worker.delivery.spool import spooled_files
    from experiments.worker.worker_options import UNDELIVERED

    by_need = {need: [file.bytes for file in files if file.need is need] for need in Need}
    lines = [(need.value, f"{len(sizes):,}", _size(sizes)) for need, sizes in by_need.items() if sizes]
    if lines:
        show([table(("", "files", "size"), lines, left=1)])
    folder = state / UNDELIVERED
    if count := len(spooled_files(folder)):
        print(f"{folder}: {in_words(count, 'file')} with undelivered results; run `walking-noise deliver {folder}`")


def _size(sizes: Iterable[int]) -> str:
    from rich.filesize import decimal

    return decimal(sum(sizes), precision=2)
