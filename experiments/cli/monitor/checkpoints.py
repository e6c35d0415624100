"""``walking-noise checkpoints``: lists the checkpoints of workers and removes those that no run needs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.errors import UserError

if TYPE_CHECKING:
    from experiments.status.checkpoint_usage import Kept, Needs


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
    files = kept(state / "checkpoints", None)
    if files:
        try:
            files = kept(state / "checkpoints", _needs())
        except DatabaseError as error:
            print(f"walking-noise: cannot determine which checkpoints are needed: {error}", file=sys.stderr)
    quota = WorkerOptions.from_environment().state_quota
    allowed = f" of {_size(quota)} (WALKING_NOISE_STATE_QUOTA)" if quota else ""
    print(
        f"{state / 'checkpoints'}: {in_words(len(files), 'file')}, {_size(sum(file.bytes for file in files))}{allowed}"
    )
    _print_by_need(files)
    _print_undelivered(state)


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
    from experiments.status.checkpoint_usage import DAY, REMOVED, kept, remove
    from experiments.terminal.text_table import in_words

    state = _state(folder)
    files = kept(state / "checkpoints", None)
    if files:
        files = kept(state / "checkpoints", _needs())
    removable = [file for file in files if file.need in REMOVED and file.age >= older_than * DAY]
    if not dry_run:
        remove(removable)
    result = "would be removed" if dry_run else "removed"
    size = _size(sum(file.bytes for file in removable))
    print(f"{result}: {len(removable):,} of {in_words(len(files), 'file')}, {size}")
    _print_by_need(removable)
    _print_undelivered(state)


def _state(folder: Path | None) -> Path:
    from experiments.worker.worker_options import WorkerOptions

    folder = folder or WorkerOptions.from_environment().state
    if folder is None:
        raise UserError(
            "the state folder of the workers is not given; use --folder DIR or set WALKING_NOISE_STATE (without this "
            "variable, workers use the folder `state` next to the logs of their runs)"
        )
    return folder


def _needs() -> Needs:
    from experiments.database.run_collections import open_database
    from experiments.status.checkpoint_usage import needs
    from experiments.terminal.progress_line import ProgressLine

    line = ProgressLine()
    with open_database([]) as database:
        try:
            return needs(database, line.show)
        finally:
            line.end()


def _print_by_need(files: list[Kept]) -> None:
    from experiments.status.checkpoint_usage import Need
    from experiments.terminal.text_table import aligned

    by_need = {need: [file.bytes for file in files if file.need is need] for need in Need}
    lines = [(need.value, f"{len(sizes):,}", _size(sum(sizes))) for need, sizes in by_need.items() if sizes]
    if lines:
        print("\n".join(aligned(("", "files", "size"), lines, left=1)))


def _print_undelivered(state: Path) -> None:
    from experiments.terminal.text_table import in_words
    from experiments.worker.delivery.spool import Spool

    undelivered = Spool(state / "undelivered")
    if files := undelivered.files():
        folder = undelivered.folder
        count = in_words(len(files), "file")
        print(f"{folder}: {count} with undelivered results; run `walking-noise deliver {folder}`")


def _size(count: int) -> str:
    size, unit = float(count), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.3g} {unit}"
