"""Text of ``walking-noise failures``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pymongo.database import Database

from experiments.database.connection import Document
from experiments.database.run_collections import ATTEMPTS
from experiments.database.run_status import FAILED
from experiments.errors import UserError
from experiments.status.failures.reset_commands import delete_and_add, reset_by_status, reset_commands, selections
from experiments.terminal.text_table import in_words, runs_in_words
from experiments.worker.failures.failure_groups import FailureGroup
from experiments.worker.records.causes import OPTION_PREFIX

MAX_NODES = 5
"""Largest number of nodes that are named for a cause."""

ENDED_FROM_OUTSIDE = {
    "KILLED": "killed from outside (time or memory limit, scancel, node failure)",
    "INTERRUPTED": "cancelled with `seml cancel`",
}
"""Statuses of runs without a trace, with an explanation of each."""


def describe(
    groups: Sequence[FailureGroup], counts: Mapping[str, Mapping[str, int]], consequences: Sequence[str]
) -> list[str]:
    """The lines that ``walking-noise failures`` prints.

    ``counts``: number of runs by collection and status; ``consequences``: what the failures stop or change.
    """
    lines = [_summary(groups)]
    failed = {name: sorted(run for group in groups for run in group.failed.get(name, ())) for name in counts}
    for number, group in enumerate(groups, start=1):
        lines += ["", f"{number}. {_counts(group)}: {group.cause}", *_details(group, failed)]
    to_start = {name for name in failed if failed[name]}
    for status, meaning in ENDED_FROM_OUTSIDE.items():
        for name in counts:
            if count := counts[name].get(status):
                to_start.add(name)
                lines += ["", f"{runs_in_words(count)} of {name} {status}: {meaning}"]
                lines += [f"   reset: {reset_by_status(name, status)}"]
    if to_start:
        commands = (f"walking-noise start {name}" for name in sorted(to_start))
        lines += ["", f"after a reset, start the runs: {'; '.join(commands)}"]
    if consequences:
        lines += ["", *consequences]
    return lines


def attempts_of(database: Database[Document], collection: str, run: int) -> Iterator[str]:
    """Describe the unsuccessful attempts at a run, the oldest first, with their traces.

    Raise :class:`UserError` if neither the collection nor the history has this run.
    """
    attempts = list(database[ATTEMPTS].find({"collection": collection, "run": run}).sort("ended", 1))
    if not attempts:
        if database[collection].find_one({"_id": run}, {"_id": 1}) is None:
            raise UserError(f"{collection} has no run {run}")
        yield f"{collection}: no unsuccessful attempt at run {run} is recorded"
    for attempt in attempts:
        task = f", Slurm task {attempt['slurm']}" if "slurm" in attempt else ""
        yield (
            f"{_time(attempt['started'])} .. {_time(attempt['ended'])} UTC on {attempt['host'] or 'an unknown node'}"
            f"{task}: {attempt['end']}: {attempt['reason']}"
        )
        yield from (f"    {line.rstrip()}" for text in attempt.get("trace", ()) for line in text.splitlines())


def _summary(groups: Sequence[FailureGroup]) -> str:
    runs, attempts = sum(group.failed_count for group in groups), sum(group.attempts for group in groups)
    if not groups:
        return "no run has failed"
    unsuccessful, causes = in_words(attempts, "unsuccessful attempt"), in_words(len(groups), "cause")
    return f"{runs_in_words(runs)} FAILED now; {unsuccessful}; {causes}"


def _counts(group: FailureGroup) -> str:
    attempts = f"{in_words(group.attempts, 'attempt')} at {runs_in_words(len(group.runs))}"
    return f"{runs_in_words(group.failed_count)} FAILED now, {attempts}" if group.failed else attempts


def _details(group: FailureGroup, failed: Mapping[str, Sequence[int]]) -> Iterator[str]:
    """The nodes of a group, an example, and the commands that reset its runs; ``failed``: all FAILED runs."""
    if group.nodes:
        most_frequent = group.nodes.most_common(MAX_NODES)
        others = len(group.nodes) - len(most_frequent)
        nodes = ", ".join(f"{node} {count:,}" for node, count in most_frequent)
        yield f"   nodes: {nodes}{f' and {others} more' if others else ''}"
    example = group.example
    failed_now = example.end == FAILED and example.run in group.failed.get(example.collection, ())
    command = (
        f"seml {example.collection} print-fail-trace -id {example.run}"
        if failed_now
        else f"walking-noise failures {example.collection} --run {example.run}"
    )
    yield f"   example: run {example.run}{f' on {example.host}' if example.host else ''}: {command}"
    for name, ids in group.failed.items():
        unaffected = sorted(set(failed[name]) - set(ids))
        if group.cause.startswith(OPTION_PREFIX):
            commands = (delete_and_add(name, f"-s FAILED {selection}") for selection in selections(ids, unaffected))
            yield from (f"   a reset keeps the variable: correct or unset it; then {command}" for command in commands)
        else:
            yield from (f"   reset: {command}" for command in reset_commands(name, ids, unaffected))


def _time(time: object) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S}" if time is not None else "?"
