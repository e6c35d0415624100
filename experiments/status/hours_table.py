"""Table of ``walking-noise hours``: the worker hours of collections, each and together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pymongo.database import Database

from experiments.database.connection import Document, server_time
from experiments.plan.throughput import Device
from experiments.status.hours_spent import HoursAccount
from experiments.status.time_left import remaining_work
from experiments.status.worker_statistics import workers
from experiments.terminal.text_table import aligned, short


def accounts(database: Database[Document], names: Sequence[str], device: Device | None) -> list[HoursAccount]:
    """An account for each collection and, if there are several, one for all of them together.

    ``device``: measured speeds for runs of a kind of which none is completed yet.
    """
    now = server_time(database)
    separate, all_workers = [], workers(database, names, now)
    for name in names:
        own = [worker for worker in all_workers if worker.collection == name]
        remaining = remaining_work(database[name], own, device)
        separate.append(HoursAccount.of(name, own, remaining.runs, remaining.hours))
    if len(separate) == 1:
        return separate
    planned = [account.planned for account in separate]
    total = None if None in planned else sum(hours for hours in planned if hours is not None)
    runs_left = sum(account.runs_left for account in separate)
    return [*separate, HoursAccount.of(f"all {len(separate)} collections", all_workers, runs_left, total)]


def describe(accounts: Sequence[HoursAccount]) -> Iterator[str]:
    """The lines that ``walking-noise hours`` prints: a row per collection, wasted hours by reason, explanations."""
    head = ["collection", "GPU hours", "wasted", "CPU hours", "wasted", "runs left", "hours planned"]
    lines = [
        [
            account.name,
            short(account.gpu.used),
            short(account.gpu.total_wasted),
            short(account.cpu.used),
            short(account.cpu.total_wasted),
            f"{account.runs_left:,}",
            short(account.planned),
        ]
        for account in accounts
    ]
    yield from aligned(head, lines, left=1)
    total = accounts[-1]
    for device, spent in (("GPU", total.gpu), ("CPU", total.cpu)):
        if spent.wasted:
            yield ""
        for reason, hours in sorted(spent.wasted.items(), key=lambda item: -item[1]):
            yield f"{short(hours)} {device} hours wasted: {reason}"
    yield ""
    yield (
        "hours: from the start to the end of each worker; a worker with a GPU counts under GPU hours, any other under "
        "CPU hours. wasted: spent on runs that failed, or on training that was lost with its worker."
    )
    yield (
        "hours planned: worker hours for the runs left, estimated from the completed runs with the same pack settings, "
        "or else from measured speeds."
    )
    if any(account.planned is None for account in accounts):
        yield (
            "?: some of the runs left have pack settings without a completed run or a measurement; "
            "`walking-noise bench --save` measures the device it runs on."
        )
