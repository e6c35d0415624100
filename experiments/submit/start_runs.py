"""Start of runs: in Slurm, in arrays with a task for each lease, or on this machine by ``seml start --local``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from experiments import slurm
from experiments.database.run_status import STAGED
from experiments.errors import UserError
from experiments.plan import throughput
from experiments.submit import seml_command
from experiments.submit.array_submission import submit
from experiments.submit.startable_runs import Startable
from experiments.submit.task_arrays import lease_size, task_arrays
from experiments.terminal.text_table import in_words, runs_in_words
from experiments.worker.failures.claims import excluded_nodes, why_stopped
from experiments.worker.records.study_record import pack_limits
from experiments.worker.worker_options import check_variables

NO_FILE_OUTPUT = "--no-file-output"
"""The only option of ``seml start`` that is for Slurm."""


def start_in_slurm(startable: Startable, limit: int | None = None, options: Sequence[str] = ()) -> None:
    """Start the STAGED and the stranded runs, at most ``limit``, in arrays with a task for each lease of a worker.

    ``options`` are further arguments of ``seml start``. If Slurm rejects an array, the other runs stay STAGED. Raise
    :class:`UserError` if the first failures have stopped the study; nodes on which workers fail are excluded.
    """
    _check_not_stopped(startable)
    name, size, cluster = startable.runs.name, slurm.max_array_size(), slurm.cluster_name()
    if size is None or cluster is None:
        raise UserError(f"Slurm does not answer; use `walking-noise start {name} --local` to train on this machine")
    local = [option for option in options if option.startswith("-") and option != NO_FILE_OUTPUT]
    if local:
        raise UserError(f"{local[0]} is for runs on this machine; give it together with --local")
    _check_experiments_per_job(startable)
    _restage(startable, cluster)
    _check_staged(startable)
    documents, devices, database = startable.staged(limit), throughput.known(None), startable.runs.database
    excluded, limits = excluded_nodes(database, name), pack_limits(database, name, "pack_key")
    for reason in excluded.values():
        print(f"walking-noise: excluded: {reason}", file=sys.stderr)
    arrays = list(task_arrays(documents, size, lambda run: lease_size(run, devices, limits)))
    total, done = len(documents), 0
    for array in arrays:
        try:
            done += submit(startable.runs, array, output_to_file=NO_FILE_OUTPUT not in options, excluded=excluded)
        except UserError as rejection:
            print(f"walking-noise: {rejection}", file=sys.stderr)
            raise UserError(
                f"{done:,} of {runs_in_words(total)} started, the others are still STAGED; run this command again to "
                "continue"
            ) from None
        if len(arrays) > 1:
            print(f"{done:,} of {total:,} runs started", flush=True)
    tasks = sum(array.tasks for array in arrays)
    print(f"started {runs_in_words(done)}: {in_words(tasks, 'task')}, one for each lease of a worker", flush=True)


def start_here(startable: Startable, limit: int | None = None, options: Sequence[str] = ()) -> None:
    """Start these runs on this machine instead of in Slurm; this process becomes ``seml start --local``."""
    _check_not_stopped(startable, slurm.node_name())
    _check_experiments_per_job(startable)
    check_variables()
    _print_restaged(startable.restage_local())
    cluster = slurm.cluster_name()
    if cluster is not None:
        _restage(startable, cluster)
    _check_staged(startable)
    number = ["--num-experiments", str(limit)] if limit else []
    seml_command.become([startable.runs.name, "start", "--local", *_filter(startable), *number, *options])


def _filter(startable: Startable) -> list[str]:
    """The arguments by which SEML selects runs.

    The filter is wrapped in ``$and``, because SEML starts runs of any status if ids are at the top level of the filter.
    """
    return ["--filter-dict", repr({"$and": [startable.selection]})] if startable.selection else []


def _check_not_stopped(startable: Startable, node: str | None = None) -> None:
    if reason := why_stopped(startable.runs.database, startable.runs.name, node):
        raise UserError(f"nothing is started: {reason}")


def _check_experiments_per_job(startable: Startable) -> None:
    count = startable.experiments_per_job_above_one()
    if count:
        raise UserError(
            f"experiments_per_job is above 1 in {runs_in_words(count)} of {startable.runs.name}: SEML would start "
            "several workers on one GPU instead of one that trains many runs as a pack; remove the option from the "
            "grid, delete these runs and add them again"
        )


def _check_staged(startable: Startable) -> None:
    if startable.count(STAGED):
        return
    name, statuses = startable.runs.name, startable.statuses()
    if not statuses:
        raise UserError(f"no run in {name} matches; add runs with `walking-noise add {name} FILE`")
    counts = ", ".join(f"{runs:,} {status}" for status, runs in statuses.items())
    ended = next((status for status in statuses if status in ("FAILED", "KILLED", "INTERRUPTED")), None)
    remedy = f"; reset runs with `seml {name} reset -s {ended}` to start them again" if ended else ""
    raise UserError(f"no run to start in {name}: {counts}{remedy}")


def _restage(startable: Startable, cluster: str) -> None:
    restaged = startable.restage_from_slurm(cluster, slurm.active_tasks)
    if restaged is None:
        print(
            "walking-noise: Slurm does not list all jobs: PENDING and KILLED runs are not checked and keep their "
            "status",
            file=sys.stderr,
        )
    _print_restaged(restaged or 0)


def _print_restaged(runs: int) -> None:
    if runs:
        print(f"{runs_in_words(runs)} had no task left and will be started again", flush=True)
