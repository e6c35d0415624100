"""Table of goals: measured figures with their spread, the goals, and whether they are met."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from tests.benchmarks.peers.cases import Goal
from tests.benchmarks.peers.ceilings import bytes_per_run_step, operations_per_run_step
from tests.benchmarks.peers.comparison import Comparison
from tests.benchmarks.peers.ensemble import TITLES
from tests.benchmarks.peers.inference_study import Inference

LEAST_FORWARD_SHARE = 0.8


@dataclass(frozen=True)
class Row:
    """A figure in each round, and its goal if it has one.

    Attributes
    ----------
    style
        Format specification of the figure; it ends with ``%`` for shares.
    unit
        Text behind the figure.
    """

    what: str
    figures: tuple[float, ...]
    goal: Goal | None = None
    style: str = ",.2f"
    unit: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.figures)

    @property
    def met(self) -> bool | None:
        """Whether the median meets the goal; None without one."""
        return None if self.goal is None else self.goal.met(self.median)

    def __str__(self) -> str:
        low, high = min(self.figures), max(self.figures)
        spread = f"{low:{self.style}} .. {high:{self.style}}" if len(self.figures) > 1 else ""
        line = f"  {self.what:50} {self.median:>10{self.style}}{self.unit:7} {spread:23}"
        if self.goal is None:
            return line.rstrip()
        bound = f"{'<=' if self.goal.at_most else '>='} {self.goal.value:{_short(self.style)}}"
        return f"{line} {bound:8} {'met' if self.met else 'missed'}"


def _short(style: str) -> str:
    return ".0%" if style.endswith("%") else "g"


def heading() -> str:
    """The head of the columns."""
    return f"  {'':50} {'median':>10}{'':7} {'least .. most':23} goal"


@dataclass(frozen=True)
class Table:
    """The rows of one case."""

    title: str
    rows: tuple[Row, ...]

    def __str__(self) -> str:
        return "\n".join([self.title, *map(str, self.rows)])


def comparison_table(comparison: Comparison, copied: Sequence[float] = ()) -> Table:
    """Rows for the time of a step of a run, for packs against the others, and for the memory traffic if it has a goal.

    Parameters
    ----------
    copied
        Bytes read and written per second by a copy on the device, in each round.
    """
    case = comparison.case
    rows = [
        Row(str(peer), tuple(1000 / rate for rate in comparison.rates(peer.name)), style=",.3f", unit=" ms")
        for peer in comparison.peers
    ]
    measured = [peer.name for peer in comparison.peers]
    for names in dict.fromkeys([*(name for name in measured if name != "c"), *case.goals]):
        if others := [name for name in names.split() if name in measured]:
            what = f"(c) against {'the fastest of ' * (len(names.split()) > 1)}({'), ('.join(others)})"
            rows.append(Row(what, tuple(comparison.ratios("c", *others)), case.goals.get(names), unit=" times"))
    if case.traffic_goal is not None:
        rows.append(_traffic_row(comparison, copied, Goal(case.traffic_goal)))
    data = f"{'random' if comparison.random else 'published'} images"
    least = (
        f"{_least_traffic(comparison) / 1e6:.1f} MB moved and {operations_per_run_step(case.config) / 1e6:,.0f} million"
    )
    lacking = "".join(
        f"\n  ({name}) {TITLES[name]}: not measured, {reason}" for name, reason in comparison.missing.items()
    )
    return Table(f"{case.title}; {data}\n  a step of a run in (c): at least {least} operations{lacking}", tuple(rows))


def _least_traffic(comparison: Comparison) -> float:
    """Least number of bytes that a training step of a run in a pack moves."""
    case = comparison.case
    (packed,) = (peer for peer in comparison.peers if peer.name == "c")
    assert packed.pack_size is not None
    members = case.pack(packed.pack_size, 0, packed.processes)
    return bytes_per_run_step(case.config, len(members) / len({member.seed for member in members}))


def _traffic_row(comparison: Comparison, copied: Sequence[float], goal: Goal) -> Row:
    moved = _least_traffic(comparison)
    shares = tuple(rate * moved / speed for rate, speed in zip(comparison.rates("c"), copied, strict=True))
    what = f"share of step time for {moved / 1e6:.1f} MB at {statistics.median(copied) / 1e9:,.0f} GB/s"
    return Row(what, shares, goal, ".0%")


def inference_table(measured: Inference) -> Table:
    """Rows for the trainings, the share of forward passes, and the computed products."""
    rows = (
        Row("networks trained", (measured.trainings,), Goal(1, at_most=True), "g"),
        Row("share of evaluation time in forward passes", measured.forward_share, Goal(LEAST_FORWARD_SHARE), ".0%"),
        Row("products computed / unavoidable ones", (measured.computed_products,), Goal(1.05, at_most=True)),
    )
    return Table(measured.title, rows)
