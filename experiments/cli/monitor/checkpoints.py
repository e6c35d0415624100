"""``walking-noise checkpoints``: what workers have kept, and removing what nothing needs."""

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
    """Add ``checkpoints`` and what can be done with them."""
    text = "checkpoints of unfinished trainings: what there is, and removing what nothing needs"
    checkpoints = commands.add_parser("checkpoints", help=text, description=text)
    actions = checkpoints.add_subparsers(metavar="ACTION", required=True)
    for name, run, what in (
        ("list", _list, "say what there is, how large it is, and whether an unfinished run needs it"),
        ("clean", _clean, "remove checkpoints that no unfinished run of any collection needs, and damaged ones"),
    ):
        action = actions.add_parser(name, help=what, description=what)
        folder = "of the workers' state; default: $WALKING_NOISE_STATE"
        action.add_argument("--folder", metavar="DIR", type=Path, help=folder)
        if run is _clean:
            action.add_argument("--dry-run", action="store_true", help="only say what would be removed")
            age = "only what has not been written to for so long"
            action.add_argument("--older-than", metavar="DAYS", type=at_least(0), default=0.0, help=age)
        action.set_defaults(run=run)


def _list(options: Namespace) -> int:
    from experiments.database.connection import DatabaseError
    from experiments.status.checkpoint_usage import kept
    from experiments.worker.worker_options import WorkerOptions

    state = _state(options)
    there = kept(state / "checkpoints", None)
    if there:
        try:
            there = kept(state / "checkpoints", _needs())
        except DatabaseError as error:
            print(f"walking-noise: whether they are needed is not known: {error}", file=sys.stderr)
    quota = WorkerOptions.from_environment().state_quota
    allowed = f" of {_size(quota)} (WALKING_NOISE_STATE_QUOTA)" if quota else ""
    print(f"{state / 'checkpoints'}: {len(there):,} files, {_size(sum(one.bytes for one in there))}{allowed}")
    _by_need(there)
    _undelivered(state)
    return 0


def _clean(options: Namespace) -> int:
    from experiments.status.checkpoint_usage import DAY, REMOVED, kept, remove

    state = _state(options)
    there = kept(state / "checkpoints", None)
    if there:
        there = kept(state / "checkpoints", _needs())
    gone = [one for one in there if one.need in REMOVED and one.age >= options.older_than * DAY]
    if not options.dry_run:
        remove(gone)
    removed = "would be removed" if options.dry_run else "removed"
    print(f"{removed}: {len(gone):,} of {len(there):,} files, {_size(sum(one.bytes for one in gone))}")
    _by_need(gone)
    _undelivered(state)
    return 0


def _state(options: Namespace) -> Path:
    from experiments.worker.worker_options import WorkerOptions

    folder: Path | None = options.folder or WorkerOptions.from_environment().state
    if folder is None:
        raise UserError(
            "no folder of the workers' state is given; use --folder DIR or set WALKING_NOISE_STATE (where it is not "
            "set, workers have theirs in `state` beside the logs of their runs)"
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


def _by_need(there: list[Kept]) -> None:
    from experiments.status.checkpoint_usage import Need
    from experiments.terminal.text_table import aligned

    by_need = {need: [one.bytes for one in there if one.need is need] for need in Need}
    lines = [(need.value, f"{len(sizes):,}", _size(sum(sizes))) for need, sizes in by_need.items() if sizes]
    if lines:
        print("\n".join(aligned(("", "files", "size"), lines, left=1)))


def _undelivered(state: Path) -> None:
    from experiments.worker.delivery.spool import Spool

    undelivered = Spool(state / "undelivered")
    if files := undelivered.files():
        folder = undelivered.folder
        print(f"{folder}: {len(files):,} files of results not yet delivered; `walking-noise deliver {folder}` does it")


def _size(count: int) -> str:
    size, unit = float(count), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.3g} {unit}"
