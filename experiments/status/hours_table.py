"""Table of ``walking-noise hours``: the worker hours of collections, each and together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pymongo.database import Database
from rich.console import RenderableType

from experiments.database.connection import Document, server_time
from experiments.plan.throughput import Device
from experiments.status.hours_spent import StudyHours
from experiments.status.time_left import remaining_work
from experiments.status.worker_statistics import workers
from experiments.terminal.text_table import short, table


def study_hours(database: Database[Document], names: Sequence[str], device: Device | None) -> list[StudyHours]:
    """The hours of each collection and, if there are several, of all of them together.

    ``device``: measured speeds, for kinds of runs without a completed run.
    """
    now = server_time(database)
    separate, all_workers = [], workers(database, names, now)
    for name in names:
        own = [worker for worker in all_workers if worker.collection == name]
        separate.append(StudyHours.of(name, own, *remaining_work(database[name], own, device)))
    if len(separate) == 1:
        return separate
    planned = [hours.planned for hours in separate]
    total = None if None in planned else sum(one for one in planned if one is not None)
    runs_left = sum(hours.runs_left for hours in separate)
    return [*separate, StudyHours.of(f"all {len(separate)} collections", all_workers, runs_left, total)]


def describe(rows: Sequence[StudyHours]) -> Iterator[RenderableType]:
    """The output of ``walking-noise hours``: a row per collection, wasted hours by reason, explanations."""
    head = ["collection", "GPU hours", "wasted", "CPU hours", "wasted", "runs left", "hours still needed"]
    lines = [
        [
            row.name,
            short(row.gpu.used),
            short(row.gpu.total_wasted),
            short(row.cpu.used),
            short(row.cpu.total_wasted),
            f"{row.runs_left:,}",
            short(row.planned),
        ]
        for row in rows
    ]
    yield table(head, lines, left=1)
    total = rows[-1]
    for device, spent in (("GPU", total.gpu), ("CPU", total.cpu)):
        if spent.wasted:
            yield ""
        for reason, hours in sorted(spent.wasted.items(), key=lambda item: -item[1]):
            yield f"{device} hours wasted: {short(hours)} ({reason})"
    yield ""
    yield (
        "GPU hours: hours of workers with a GPU, from their start to their end. CPU hours: hours of workers without "
        "one, not core hours. wasted: spent on runs that failed, or on training that was lost with its worker."
    )
    yield (
        "hours still needed: worker hours for the runs left, estimated from the completed runs with the same pack "
        "settings, or else from measured speeds."
    )
    if any(row.planned is None for row in rows):
        yield (
            "?: for some of the runs left there is neither a completed run with the same pack settings nor a measured "
            "speed; `walking-noise bench --save` measures the device it runs on."
        )
