"""``walking-noise checkpoints``: lists the checkpoints of workers and removes those that no run needs."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace, _SubParsersAction
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.cli.arguments import at_least
from experiments.errors import UserError

if TYPE_CHECKING:
    from experiments.status.checkpoint_usage import Kept, Needs


def add_parser(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Add the command ``checkpoints`` and its actions."""
    text = "List the checkpoints of unfinished trainings, or remove those that no run needs."
    checkpoints = commands.add_parser("checkpoints", help=text, description=text)
    actions = checkpoints.add_subparsers(metavar="ACTION", required=True)
    for name, run, summary in (
        ("list", _list, "Show the number and size of checkpoints, grouped by whether an unfinished run needs them."),
        ("clean", _clean, "Remove damaged checkpoints and those that no unfinished run of any collection needs."),
    ):
        action = actions.add_parser(name, help=summary, description=summary)
        folder = "state folder of the workers; default: $WALKING_NOISE_STATE"
        action.add_argument("--folder", metavar="DIR", type=Path, help=folder)
        if run is _clean:
            action.add_argument("--dry-run", action="store_true", help="only report what would be removed")
            age = "only remove files that were last written DAYS days ago or earlier"
            action.add_argument("--older-than", metavar="DAYS", type=at_least(0), default=0.0, help=age)
        action.set_defaults(run=run)


def _list(options: Namespace) -> int:
    from experiments.database.connection import DatabaseError
    from experiments.status.checkpoint_usage import kept
    from experiments.terminal.text_table import in_words
    from experiments.worker.worker_options import WorkerOptions

    state = _state(options)
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
    return 0


def _clean(options: Namespace) -> int:
    from experiments.status.checkpoint_usage import DAY, REMOVED, kept, remove
    from experiments.terminal.text_table import in_words

    state = _state(options)
    files = kept(state / "checkpoints", None)
    if files:
        files = kept(state / "checkpoints", _needs())
    removable = [file for file in files if file.need in REMOVED and file.age >= options.older_than * DAY]
    if not options.dry_run:
        remove(removable)
    result = "would be removed" if options.dry_run else "removed"
    size = _size(sum(file.bytes for file in removable))
    print(f"{result}: {len(removable):,} of {in_words(len(files), 'file')}, {size}")
    _print_by_need(removable)
    _print_undelivered(state)
    return 0


def _state(options: Namespace) -> Path:
    from experiments.worker.worker_options import WorkerOptions

    folder: Path | None = options.folder or WorkerOptions.from_environment().state
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
