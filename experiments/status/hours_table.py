"""What collections spend, each and together, and how a person reads it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pymongo.database import Database

from experiments.database.connection import Document, server_time
from experiments.plan.throughput import Device
from experiments.status.hours_spent import HoursAccount
from experiments.status.time_left import remaining
from experiments.status.worker_statistics import workers
from experiments.terminal.text_table import aligned, short


def accounts(database: Database[Document], names: Sequence[str], device: Device | None) -> list[HoursAccount]:
    """An account for each collection and, if there are several, one for all of them together."""
    now = server_time(database)
    found, everyone = [], workers(database, names, now)
    for name in names:
        own = [worker for worker in everyone if worker.collection == name]
        left = remaining(database[name], own, device)
        found.append(HoursAccount.of(name, own, left.runs, left.hours))
    if len(found) == 1:
        return found
    planned = [account.planned for account in found]
    together = None if None in planned else sum(hours for hours in planned if hours is not None)
    runs_left = sum(account.runs_left for account in found)
    return [*found, HoursAccount.of(f"all {len(found)} collections", everyone, runs_left, together)]


def describe(found: Sequence[HoursAccount]) -> Iterator[str]:
    """The lines that ``walking-noise hours`` prints: a row per collection, and why hours were wasted."""
    head = ["collection", "GPU hours", "wasted", "CPU hours", "wasted", "runs left", "hours planned"]
    lines = [
        [
            account.name,
            short(account.gpu.used),
            short(account.gpu.wasted_in_all),
            short(account.cpu.used),
            short(account.cpu.wasted_in_all),
            f"{account.runs_left:,}",
            short(account.planned),
        ]
        for account in found
    ]
    yield from aligned(head, lines, left=1)
    total = found[-1]
    for device, spent in (("GPU", total.gpu), ("CPU", total.cpu)):
        if spent.wasted:
            yield ""
        for reason, hours in sorted(spent.wasted.items(), key=lambda item: -item[1]):
            yield f"{short(hours)} {device} hours wasted: {reason}"
    yield ""
    yield (
        "hours: of workers, from their start to their end; a GPU's count under GPU, those of workers without one under "
        "CPU. wasted: on runs that failed, and on training that was lost with its worker."
    )
    yield "hours planned: of workers, for the runs left, each taking what runs of its kind took so far."
    if any(account.planned is None for account in found):
        yield (
            "?: of some kind no run has a result yet, and no measurement is known; `walking-noise bench --save` "
            "measures the device it runs on."
        )
