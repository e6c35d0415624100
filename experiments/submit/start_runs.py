"""Starting runs by ``seml start``, in Slurm or on this machine."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from experiments import slurm
from experiments.database.run_status import STAGED
from experiments.errors import UserError
from experiments.submit import seml_command
from experiments.submit.startable_runs import Startable
from experiments.terminal.text_table import runs_in_words


def start_in_slurm(startable: Startable, most: int | None = None, options: Sequence[str] = ()) -> None:
    """Start what is STAGED or stranded, ``most`` at most, in arrays of the size that Slurm takes.

    ``options``: further arguments of ``seml start``.

    Raises
    ------
    UserError
        Slurm does not answer, or does not take an array; ``experiments_per_job`` is above 1; there is nothing to start.
    """
    name, size, cluster = startable.runs.name, slurm.max_array_size(), slurm.cluster_name()
    if size is None or cluster is None:
        raise UserError(f"Slurm does not answer here; `walking-noise start {name} --local` trains on this machine")
    _refuse_several_per_job(startable)
    _take_up(startable, cluster)
    _refuse_nothing(startable)
    parts = list(startable.parts(size, most))
    _say_what_limits_mean(startable, len(parts))
    total, done = sum(part.runs for part in parts), 0
    chosen = _filter(startable)
    for part in parts:
        batch = ["--batch-id", str(part.batch), "--num-experiments", str(part.runs)]
        if seml_command.run([name, "start", *batch, *chosen, *options]):
            raise UserError(
                f"{done:,} of {total:,} runs were started, the others stay STAGED: the same command goes on"
            )
        done += part.runs
        if len(parts) > 1:
            print(f"{done:,} of {total:,} runs started", flush=True)


def start_here(startable: Startable, most: int | None = None, options: Sequence[str] = ()) -> None:
    """Start what is STAGED or stranded on this machine: this process becomes ``seml start --local``.

    Raises
    ------
    UserError
        ``experiments_per_job`` is above 1; there is nothing to start.
    """
    _refuse_several_per_job(startable)
    _say_taken_up(startable.take_up_local())
    cluster = slurm.cluster_name()
    if cluster is not None:
        _take_up(startable, cluster)
    _refuse_nothing(startable)
    number = ["--num-experiments", str(most)] if most else []
    seml_command.become([startable.runs.name, "start", "--local", *_filter(startable), *number, *options])


def _filter(startable: Startable) -> list[str]:
    """What SEML is given to choose by. With ids at its top level it would start runs of any status."""
    return ["--filter-dict", repr({"$and": [startable.chosen]})] if startable.chosen else []


def _refuse_several_per_job(startable: Startable) -> None:
    several = startable.several_per_job()
    if several:
        raise UserError(
            f"{several:,} runs of {startable.runs.name} have experiments_per_job above 1: several workers on one GPU, "
            "where one packs runs by itself; take it out of the grid, delete these runs and add them again"
        )


def _refuse_nothing(startable: Startable) -> None:
    if startable.count(STAGED):
        return
    name, there = startable.runs.name, startable.statuses()
    if not there:
        raise UserError(f"{name} has no such runs; `walking-noise add {name} FILE` adds some")
    told = ", ".join(f"{runs:,} {status}" for status, runs in there.items())
    ended = next((status for status in there if status in ("FAILED", "KILLED", "INTERRUPTED")), None)
    how = f"; `seml {name} reset -s {ended}` lets runs be started again" if ended else ""
    raise UserError(f"nothing to start in {name}: {told}{how}")


def _take_up(startable: Startable, cluster: str) -> None:
    taken_up = startable.take_up_from_slurm(cluster, slurm.active_tasks)
    if taken_up is None:
        print("walking-noise: Slurm does not say whose tasks it holds: PENDING runs stay as they are", file=sys.stderr)
    _say_taken_up(taken_up or 0)


def _say_taken_up(runs: int) -> None:
    if runs:
        print(f"started again: {runs_in_words(runs)} that no task was left to train", flush=True)


def _say_what_limits_mean(startable: Startable, parts: int) -> None:
    limit = startable.most_at_once()
    if limit is not None and parts > 1:
        text = f"max_simultaneous_jobs: {limit} holds for each of {parts} arrays: up to {parts * limit:,} tasks at once"
        print(text, flush=True)
