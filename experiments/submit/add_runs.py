"""Adding the runs of grids, as ``seml add`` does, with an environment that holds no secrets."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from seml.experiment.config import read_config
from seml.experiment.sources import get_git_info

from experiments.database.connection import collection_runs
from experiments.database.indexes import ensure_indexes
from experiments.errors import UserError
from experiments.plan.grid_files import Settings, find
from experiments.plan.run_counts import RunCounts
from experiments.plan.study_plan import count
from experiments.submit import seml_command
from experiments.submit.environment import SECRET_VALUE, allowed_environment
from experiments.terminal.progress_line import ProgressLine

AT_THE_END = Path(__file__).parents[1] / "worker" / "until_the_worker_ends.sh"
"""Jobs' shells read this first."""


@dataclass(frozen=True)
class Added:
    """``runs`` of the ``planned`` ones, with ``passed_on`` variables of this shell; ``left_out`` others stayed here."""

    runs: int
    planned: int
    passed_on: int
    left_out: int


def add(
    collection: str,
    files: Sequence[str],
    keep: Iterable[str] = (),
    overwrite: Settings | None = None,
    options: Sequence[str] = (),
) -> Added:
    """Add the runs of all files, or none if one of them is refused.

    Parameters
    ----------
    collection
        Where to.
    files
        SEML files, folders of them, or patterns.
    keep
        Variables that shall stand in the documents beyond those that are allowed.
    overwrite
        Settings that all runs are given, whatever the files say.
    options
        Further arguments of ``seml add``.

    Raises
    ------
    UserError
        A file is refused, or the environment; there is no database; SEML failed.
    """
    environment = allowed_environment(keep, BASH_ENV=str(AT_THE_END))
    paths = find(files)
    planned = check(paths, overwrite)
    overwriting = ["--overwrite-params", repr(overwrite)] if overwrite else []
    runs = collection_runs(collection)
    with runs.database.client:
        ensure_indexes(runs.database, collection)
        before = runs.count_documents({})
        code = seml_command.run([collection, "add", *overwriting, *options, *map(str, paths)], environment)
        added = runs.count_documents({}) - before
    if code:
        raise UserError(f"`seml {collection} add` failed, as it says above; {added:,} runs were added")
    passed_on = sum(name in os.environ for name in environment)
    return Added(added, planned, passed_on, len(os.environ) - passed_on)


def check(paths: Sequence[Path], overwrite: Settings | None = None) -> int:
    """Refuse files of which SEML could not add all runs, and return the number of runs.

    Raises
    ------
    UserError
        A file cannot be read, a run of it is refused, or SEML cannot note the state of the code.
    """
    line = ProgressLine()
    outcomes = list(count(paths, line.show, overwrite))
    line.end()
    for outcome in outcomes:
        if not isinstance(outcome, RunCounts):
            raise outcome
    for path in paths:
        _check_repository(path)
    return sum(outcome.runs for outcome in outcomes if isinstance(outcome, RunCounts))


def _check_repository(path: Path) -> None:
    """Refuse code in a repository whose state SEML cannot note, or whose address would give a password away."""
    seml, _, _ = read_config(path)
    try:
        noted = get_git_info(seml["executable"], seml["working_dir"])
    except ValueError:
        raise UserError(
            f"{path}: the repository of {seml['working_dir']} has no commit yet, and SEML notes one with every run: "
            "make one with `git commit`"
        ) from None
    if noted is not None and SECRET_VALUE.search(noted["path"]):
        raise UserError(
            f"{path}: the address of the git remote of {seml['working_dir']} holds a password or a token, which SEML "
            "would store in every run: `git remote set-url` to one without, and leave the secret to a credential helper"
        )
