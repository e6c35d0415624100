"""Addition of the runs of grids by ``seml add``, with an environment that holds no secrets."""

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
from experiments.terminal.text_table import runs_in_words

JOB_SHELL_SETUP = Path(__file__).parents[1] / "worker" / "job_shell_setup.sh"
"""Script that the shells of a job read first, because ``BASH_ENV`` names it."""


@dataclass(frozen=True)
class Added:
    """Result of an addition.

    Attributes
    ----------
    runs
        Number of added runs.
    planned
        Number of runs in the files; those that are not added were in the collection before.
    passed_on
        Number of environment variables of this shell that SEML has stored.
    left_out
        Number of the other environment variables of this shell.
    """

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
    """Add the runs of all files, or none if one file is rejected.

    Parameters
    ----------
    collection
        Name of the collection.
    files
        SEML files, folders of SEML files, or patterns.
    keep
        Environment variables to pass to SEML in addition to the allowed ones.
    overwrite
        Settings that replace the values of the files in all runs.
    options
        Further arguments of ``seml add``.

    Raises
    ------
    UserError
        A file or the environment is rejected, there is no database, or SEML fails.
    """
    environment = allowed_environment(keep, BASH_ENV=str(JOB_SHELL_SETUP))
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
        raise UserError(f"`seml {collection} add` failed with the error above; {runs_in_words(added)} added")
    passed_on = sum(name in os.environ for name in environment)
    return Added(added, planned, passed_on, len(os.environ) - passed_on)


def check(paths: Sequence[Path], overwrite: Settings | None = None) -> int:
    """Check that SEML can add all runs of the files; return the number of runs.

    Raises
    ------
    UserError
        A file cannot be read, one of its runs is rejected, or SEML cannot store the commit of the code.
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
    """Reject a repository without a commit for SEML to store, or with a secret in the address of its remote."""
    seml, _, _ = read_config(path)
    try:
        git = get_git_info(seml["executable"], seml["working_dir"])
    except ValueError:
        raise UserError(
            f"{path}: the repository {seml['working_dir']} has no commit, but SEML stores one with every run; "
            "create one with `git commit`"
        ) from None
    if git is not None and SECRET_VALUE.search(git["path"]):
        raise UserError(
            f"{path}: the address of the git remote of {seml['working_dir']} contains a password or token, which SEML "
            "would store in every run; remove it with `git remote set-url` and use a credential helper for the secret"
        )
