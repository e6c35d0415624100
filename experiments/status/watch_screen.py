"""How collections stand, on one screen of a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from experiments.database.run_status import COMPLETED, FAILED, RUNNING
from experiments.status.hours_spent import HoursAccount
from experiments.status.study_status import StudyStatus
from experiments.status.worker_statistics import Worker
from experiments.terminal.progress_line import clock
from experiments.terminal.text_table import runs_in_words, short

WIDTH, HEIGHT = 80, 24
"""The least that a screen has, and what is filled where there is none."""
COLLECTIONS = 4
"""So many collections have a line of their own; the others share one."""
CAUSES = 3
"""So many causes of failure are shown."""
BAR = 32

TASK = 14
NUMBERS = {"runs": 6, "done": 4, "runs/h": 6, "heard of": 13}
"""The widths of the columns of workers, in characters; the first has the rest."""

PARTS = {
    COMPLETED: ("█", "green"),
    RUNNING: ("▒", "cyan"),
    FAILED: ("!", "red"),
}
WAITS = "·"
"""How statuses look in the bar; all others look like those that wait."""


def screen(now: StudyStatus, height: int) -> Group:
    """What ``walking-noise watch`` shows, in at most ``height`` lines of 80 characters."""
    above = list(_collections(now))
    below = [Text(), *_summary(now), *_failures(now)]
    room = height - len(above) - len(below) - 3  # an empty line, the table's head, the line that counts the others
    return Group(
        *above, *_packs(now.at_work, max(room, 1), several=len(now.counts) > 1), *(_fitted(line) for line in below)
    )


def _collections(now: StudyStatus) -> Iterator[Text]:
    names = list(now.counts)
    shown = names if len(names) <= COLLECTIONS else names[: COLLECTIONS - 1]
    width = max(map(len, shown))
    for name in shown:
        yield _line(name.ljust(width), now.counts[name])
    others = names[len(shown) :]
    if others:
        counted = sum((now.counts[name] for name in others), Counter[str]())
        yield _line(f"{len(others)} others".ljust(width), counted)


def _line(name: str, counted: Counter[str]) -> Text:
    text = Text(f"{name} ") + _bar(counted)
    return _fitted(text.append(f" {counted[COMPLETED]:,} of {counted.total():,} done"))


def _bar(counted: Counter[str]) -> Text:
    """A bar of the statuses' shares, in which each that is there has a place, at the cost of the largest."""
    total = max(counted.total(), 1)
    places = {status: max(BAR * counted[status] // total, 1) if counted[status] else 0 for status in PARTS}
    places[max(places, key=places.__getitem__)] -= max(sum(places.values()) - BAR, 0)
    bar = Text()
    for status, (sign, style) in PARTS.items():
        bar.append(sign * places[status], style)
    return bar.append(WAITS * (BAR - len(bar)), "dim")


def _packs(there: Sequence[Worker], room: int, *, several: bool) -> Iterator[RenderableType]:
    table = Table(box=None, pad_edge=False, width=WIDTH, header_style="bold")
    table.add_column("worker", no_wrap=True, ratio=1)
    table.add_column("task", no_wrap=True, width=TASK)
    for name, width in NUMBERS.items():
        table.add_column(name, justify="right", no_wrap=True, width=width)
    shown = there[:room]
    for worker in shown:
        table.add_row(
            f"{worker.host} ({worker.collection})" if several else worker.host,
            worker.task or f"run {worker.leader}",
            f"{worker.runs:,}",
            f"{worker.trained:.0%}",
            short(worker.runs_per_hour),
            f"{'! ' if worker.silent else ''}{clock(worker.age.total_seconds())} ago",
            style="red" if worker.silent else None,
        )
    if shown:
        yield Text()
        yield table
    others = there[room:]
    if others:
        runs = sum(worker.runs for worker in others)
        trained = sum(worker.trained * worker.runs for worker in others) / runs
        yield _fitted(
            Text(
                f"and {len(others):,} more with {runs_in_words(runs)}, {trained:.0%} done, "
                f"heard of {clock(max(worker.age for worker in others).total_seconds())} ago at most",
                "dim",
            )
        )


def _summary(now: StudyStatus) -> Iterator[Text]:
    starting = f" ({now.runs_starting:,} starting up)" if now.runs_starting else ""
    waiting = [
        f"{count:,} {status}{starting if status == RUNNING else ''}"
        for status, count in now.total.most_common()
        if count and status != COMPLETED
    ]
    if waiting:
        yield Text(", ".join(waiting))
    silent = sum(worker.silent for worker in now.workers)
    busy = sum(worker.at_work for worker in now.workers)
    workers = f"{busy:,} worker{'s' * (busy != 1)} at work"
    yield Text(
        f"{workers}, {short(now.runs_last_hour)} runs in the last hour, {short(now.runs_per_hour)} runs/h overall"
    )
    yield Text(_left(now), "bold")
    spent = HoursAccount.of("", now.workers, 0, None)
    used = [f"{short(one.used)} {kind} hours" for kind, one in (("GPU", spent.gpu), ("CPU", spent.cpu)) if one.used]
    wasted = spent.gpu.wasted_in_all + spent.cpu.wasted_in_all
    yield Text(f"used: {', '.join(used) or 'nothing yet'}{f', of them {short(wasted)} wasted' if wasted else ''}")
    if silent:
        names = " ".join(now.counts)
        yield Text(f"! {silent:,} not heard of for long: `walking-noise rescue {names}` takes up their runs", "red")


def _left(now: StudyStatus) -> str:
    if not now.runs_waiting:
        return "no run waits to be done"
    if now.hours_left is None:
        return "time left: not known until somebody has worked for a minute"
    return f"time left: {clock(3600 * now.hours_left)}"


def _failures(now: StudyStatus) -> Iterator[Text]:
    for cause, count in now.causes[:CAUSES]:
        yield Text(f"{runs_in_words(count)} FAILED: {cause}", "red")
    if now.causes:
        more = len(now.causes) - CAUSES
        others = f"{more} more cause{'s' * (more != 1)}; " if more > 0 else ""
        yield Text(f"{others}`walking-noise failures {' '.join(now.counts)}` says more")


def _fitted(text: Text) -> Text:
    text.truncate(WIDTH, overflow="ellipsis")
    return text
