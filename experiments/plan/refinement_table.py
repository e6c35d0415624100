"""Table of a second stage: a row per series, with its interval, seeds, levels and runs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from rich.console import RenderableType

from analysis.labels import cell_text, column_heading, differing_settings, format_estimate, format_number
from analysis.midpoints.refine import Refinement
from experiments.plan.refined_grid import new_runs, new_seeds
from experiments.terminal.text_table import in_words, runs_in_words, table


def describe(plans: Sequence[Refinement], width: float) -> Iterator[RenderableType]:
    """The table, and what the widths will be."""
    names = [name for name in differing_settings([plan.series.settings for plan in plans]) if name != "noise.point"]
    head = [*map(column_heading, names), "point", "μ", "width", "seeds", "new levels", "runs", "expected width", ""]
    yield table(head, (_row(plan, names) for plan in plans), left=len(names) + 1)
    yield ""
    yield expectation(plans, width)
    if wide := [_name(plan, names) for plan in plans if plan.expected_width > 1.05 * width]:
        yield f"wider than {width:g}, since they vary more between seeds than the others: {', '.join(wide)}"
    reached = [_name(plan, names) for plan in plans if not new_runs(plan)]
    if 0 < len(reached) < len(plans):
        yield f"no further runs: {', '.join(reached)}"


def expectation(plans: Sequence[Refinement], width: float) -> str:
    """The typical width after the second stage."""
    expected = [plan.expected_width for plan in plans if math.isfinite(plan.expected_width)]
    if not expected:
        return "the number of seeds follows from the runs at these levels: run them, then refine again"
    typical = float(np.sqrt(np.mean(np.square(expected))))
    return f"expected width of μ's 95 % interval: {typical:.3f} decades (root mean square), wanted {width:g}"


def totals(runs: int, trainings: int) -> str:
    """The number of runs and networks of the second stage."""
    return (
        f"{runs_in_words(runs)}, {in_words(trainings, 'training')}; present seeds with noise at inference only are not "
        "trained again if $WALKING_NOISE_NETWORKS has their networks"
    )


def _row(plan: Refinement, names: Sequence[str]) -> list[str]:
    present, added = len(plan.series.fit.repetitions.outcomes), len(new_seeds(plan))
    return [
        *(cell_text(name, plan.series.settings[name]) for name in names),
        plan.series.series.point_name,
        format_estimate(plan.series.fit.mu),
        _decades(plan.width),
        f"{present} + {added}" if added else str(present),
        " ".join(map(format_number, plan.new_levels)) or "–",
        str(new_runs(plan)),
        _decades(plan.expected_width),
        plan.remark,
    ]


def _name(plan: Refinement, names: Sequence[str]) -> str:
    settings = (f"{column_heading(name)} {cell_text(name, plan.series.settings[name])}" for name in names)
    return " ".join([*settings, f"point {plan.series.series.point_name}"])


def _decades(width: float) -> str:
    return f"{width:.3f}" if math.isfinite(width) else "–"
