"""Addition of the runs of grids by ``seml add``, with an environment that holds no secrets."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seml.experiment.config import read_config
from seml.experiment.sources import get_git_info
from seml.settings import SETTINGS

from experiments.database.collection_names import check_name
from experiments.database.connection import open_runs
from experiments.database.indexes import ensure_indexes
from experiments.errors import UserError
from experiments.plan.grid_files import Settings, find
from experiments.plan.study_plan import count
from experiments.submit import seml_command
from experiments.submit.environment import SECRET_VALUE, allowed_environment
from experiments.terminal.text_table import runs_in_words
from experiments.worker.worker_options import check_variables, exported

JOB_SHELL_SETUP = Path(__file__).parents[1] / "worker" / "job_shell_setup.sh"
"""Script that the shells of a job read first, because ``BASH_ENV`` names it."""


@dataclass(frozen=True)
class Added:
    """Numbers of an addition."""

    runs: int  # added runs
    planned: int  # runs in the files; those that are not added were in the collection before
    passed_on: int  # environment variables of this shell that SEML has stored
    left_out: int  # the other environment variables of this shell


def add(
    collection: str,
    files: Sequence[str],
    keep: Collection[str] = (),
    overwrite: Settings | None = None,
    options: Sequence[str] = (),
) -> Added:
    """Add the runs of all ``files`` (SEML files, folders of them, or patterns), or none if one file is rejected.

    ``keep`` names environment variables to pass to SEML in addition to the allowed ones. ``overwrite`` has settings
    that replace the values of the files in all runs. ``options`` are further arguments of ``seml add``.
    """
    check_name(collection)
    environment = allowed_environment(keep, BASH_ENV=str(JOB_SHELL_SETUP))
    paths = find(files)
    planned = check(paths, overwrite, keep)
    overwriting = ["--overwrite-params", repr(overwrite)] if overwrite else []
    with open_runs(collection) as runs:
        ensure_indexes(runs.database, collection)
        before = runs.count_documents({})
        code = seml_command.run([collection, "add", *overwriting, *options, *map(str, paths)], environment)
        added = runs.count_documents({}) - before
    if code:
        raise UserError(f"`seml {collection} add` failed with the error above; {runs_in_words(added)} added")
    passed_on = sum(name in os.environ for name in environment)
    return Added(added, planned, passed_on, len(os.environ) - passed_on)


def check(paths: Sequence[Path], overwrite: Settings | None = None, keep: Collection[str] = ()) -> int:
    """Check that SEML can add all runs of the files and store the commit of the code; return the number of runs.

    Options of workers in the files are checked, too. ``keep`` names variables that the user passes on purpose.
    """
    counts, errors = count(paths, overwrite)
    if errors:
        raise errors[0]
    for path in paths:
        seml, slurm, _ = read_config(path)
        _check_repository(path, seml)
        for options in slurm:
            try:
                check_variables({**SETTINGS.EXPERIMENT.ENVIRONMENT, **exported([options])}, keep)
            except UserError as error:
                raise UserError(f"{path}: {error}") from None
    return sum(one.runs for one in counts)


def _check_repository(path: Path, seml: Mapping[str, Any]) -> None:
    """Reject a repository without a commit for SEML to store, or with a secret in the address of its remote."""
    try:
        git = get_git_info(seml["executable"], seml["working_dir"])
    except (ValueError, OSError):  # OSError: git refused and closed the pipe to it
        _check_access(path, seml["working_dir"])
        raise UserError(
            f"{path}: the repository {seml['working_dir']} has no commit, but SEML stores one with every run; "
            "create one with `git commit`"
        ) from None
    if git is not None and SECRET_VALUE.search(git["path"]):
        raise UserError(
            f"{path}: the address of the git remote of {seml['working_dir']} contains a password or token, which SEML "
            "would store in every run; remove it with `git remote set-url` and use a credential helper for the secret"
        )


def _check_access(path: Path, checkout: str) -> None:
    """Raise git's refusal to read a repository, for example one of another user."""
    git = subprocess.run(["git", "-C", checkout, "rev-parse", "--git-dir"], capture_output=True, text=True)
    if git.returncode:
        reason = git.stderr.strip().partition("\n")[0].removeprefix("fatal: ")
        cure = f"; to trust its owner, run `git config --global --add safe.directory {shlex.quote(checkout)}`"
        raise UserError(f"{path}: git: {reason}{cure if 'ownership' in reason else ''}") from None
