"""Screen of ``walking-noise watch``: the status of collections in the lines of a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from experiments.database.run_status import COMPLETED, FAILED, RUNNING
from experiments.status.hours_spent import StudyHours
from experiments.status.study_status import StudyStatus
from experiments.status.worker_statistics import Worker
from experiments.terminal.progress_line import clock
from experiments.terminal.text_table import in_words, runs_in_words, short

WIDTH, HEIGHT = 80, 24
"""Width in characters, and the smallest height in lines. Both are used where the output is not a terminal."""
MAX_COLLECTIONS = 4
"""Largest number of lines for collections; if there are more, the last line is for all the others."""
MAX_CAUSES = 3
"""Largest number of causes of failure that are shown."""
BAR_WIDTH = 32

TASK_WIDTH = 14
NUMBER_WIDTHS = {"runs": 6, "done": 4, "runs/h": 6, "heartbeat": 13}
"""Widths of the columns of the table of workers, in characters; the first column gets the rest."""

BAR_PARTS = {
    COMPLETED: ("█", "green"),
    RUNNING: ("▒", "cyan"),
    FAILED: ("!", "red"),
}
"""Character and colour of a status in the bar."""
OTHER = "·"
"""Character of all other statuses in the bar."""


def screen(status: StudyStatus, height: int) -> Group:
    """The screen for a status, in at most ``height`` lines of 80 characters."""
    above = list(_collections(status))
    below = [Text(), *_summary(status), *_failures(status)]
    room = height - len(above) - len(below) - 3  # an empty line, the head of the table, the line for other workers
    several = len(status.counts) > 1
    return Group(
        *above,
        *_workers(status.open_workers, max(room, 1), several=several),
        *(_truncated(line) for line in below),
    )


def _collections(status: StudyStatus) -> Iterator[Text]:
    names = list(status.counts)
    shown = names if len(names) <= MAX_COLLECTIONS else names[: MAX_COLLECTIONS - 1]
    width = max(map(len, shown))
    for name in shown:
        yield _collection(name.ljust(width), status.counts[name])
    others = names[len(shown) :]
    if others:
        counts = sum((status.counts[name] for name in others), Counter[str]())
        yield _collection(f"{len(others)} others".ljust(width), counts)


def _collection(name: str, counts: Counter[str]) -> Text:
    text = Text(f"{name} ") + _bar(counts)
    return _truncated(text.append(f" {counts[COMPLETED]:,} of {counts.total():,} done"))


def _bar(counts: Counter[str]) -> Text:
    """A bar of the statuses' shares; a status with any run gets at least one character, taken from the largest."""
    total = max(counts.total(), 1)
    widths = {status: max(BAR_WIDTH * counts[status] // total, 1) if counts[status] else 0 for status in BAR_PARTS}
    widths[max(widths, key=widths.__getitem__)] -= max(sum(widths.values()) - BAR_WIDTH, 0)
    bar = Text()
    for status, (character, style) in BAR_PARTS.items():
        bar.append(character * widths[status], style)
    return bar.append(OTHER * (BAR_WIDTH - len(bar)), "dim")


def _workers(workers: Sequence[Worker], room: int, *, several: bool) -> Iterator[RenderableType]:
    """A table of the first ``room`` workers, and a line for the others.

    ``several``: there are several collections, so that the table names the collection of each worker.
    """
    table = Table(box=None, pad_edge=False, width=WIDTH, header_style="bold")
    table.add_column("worker", no_wrap=True, ratio=1)
    table.add_column("task", no_wrap=True, width=TASK_WIDTH)
    for name, width in NUMBER_WIDTHS.items():
        table.add_column(name, justify="right", no_wrap=True, width=width)
    shown = workers[:room]
    for worker in shown:
        table.add_row(
            f"{worker.host} ({worker.collection})" if several else worker.host,
            worker.task or f"run {worker.leader}",
            f"{worker.runs:,}",
            f"{worker.trained:.0%}",
            short(worker.runs_per_hour),
            f"{'! ' if worker.unresponsive else ''}{clock(worker.heartbeat_age.total_seconds())} ago",
            style="red" if worker.unresponsive else None,
        )
    if shown:
        yield Text()
        yield table
    others = workers[room:]
    if others:
        runs = runs_in_words(sum(worker.runs for worker in others))
        yield Text(f"and {in_words(len(others), 'more worker')} with {runs}", "dim")


def _summary(status: StudyStatus) -> Iterator[Text]:
    starting = f" ({status.starting_runs:,} starting up)" if status.starting_runs else ""
    not_completed = [
        f"{count:,} {name}{starting if name == RUNNING else ''}"
        for name, count in status.total.most_common()
        if count and name != COMPLETED
    ]
    if not_completed:
        yield Text(", ".join(not_completed))
    unresponsive = sum(worker.unresponsive for worker in status.workers)
    active = sum(worker.active for worker in status.workers)
    yield Text(f"{in_words(active, 'active worker')}, {short(status.runs_last_hour)} runs in the last hour")
    yield Text(_time_left(status), "bold")
    hours = StudyHours.of("", status.workers, 0, None)
    used = [f"{short(one.used)} {kind} hours" for kind, one in (("GPU", hours.gpu), ("CPU", hours.cpu)) if one.used]
    wasted = hours.gpu.total_wasted + hours.cpu.total_wasted
    yield Text(f"used: {', '.join(used) or 'nothing yet'}{f', of which {short(wasted)} wasted' if wasted else ''}")
    if unresponsive:
        names = " ".join(status.counts)
        count = in_words(unresponsive, "unresponsive worker")
        yield Text(f"! {count}; to return the runs of lost workers to PENDING, run", "red")
        yield Text(f"  walking-noise rescue {names}", "red")


def _time_left(status: StudyStatus) -> str:
    if not status.outstanding_runs:
        return "no runs left to train"
    if status.hours_left is None:
        return "time left: unknown until a worker has been active for a minute"
    return f"time left: {clock(3600 * status.hours_left)}"


def _failures(status: StudyStatus) -> Iterator[Text]:
    for stop in status.stops:
        yield Text(f"! {stop}", "red")
        yield Text(f"  the way on: walking-noise failures {stop.collection}", "red")
    for cause, count in status.causes[:MAX_CAUSES]:
        yield Text(f"{runs_in_words(count)} FAILED: {cause}", "red")
    if status.causes:
        more = len(status.causes) - MAX_CAUSES
        others = f"{in_words(more, 'more cause')}; " if more > 0 else ""
        yield Text(f"{others}details: `walking-noise failures {' '.join(status.counts)}`")


def _truncated(text: Text) -> Text:
    text.truncate(WIDTH, overflow="ellipsis")
    return text
