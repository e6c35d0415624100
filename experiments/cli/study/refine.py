"""``walking-noise refine``: plans the second stage of a study, for intervals of a wanted width."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from experiments.cli.parameters import Collection


def refine(
    collection: Collection,
    width: Annotated[
        float, typer.Option(metavar="W", help="wanted width of the 95 % interval of μ, in decades; 0.05: a factor 1.12")
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="grid to write; default: COLLECTION-refined.yaml")
    ] = None,
) -> None:
    """Plan the seeds and levels that give every midpoint an interval of a wanted width, and write their grid.

    The runs of the collection are the first stage, for which few levels and
    three seeds suffice. All series of one kind of training get the same
    number of seeds, fixed once. New levels lie on the slope of each series; new
    seeds run at few levels. `walking-noise add` then adds the runs of the grid.

    Example: walking-noise refine walking_mnist --width 0.05
    """
    from analysis.midpoints.refine import refine
    from analysis.midpoints.study import analyse
    from analysis.runs import documents
    from analysis.runs.run_frame import to_frame
    from experiments.errors import UserError
    from experiments.plan.refined_grid import grid_text, latest_run, new_runs
    from experiments.plan.refinement_table import describe, expectation, totals
    from experiments.plan.run_counts import count_runs
    from experiments.plan.study_plan import Row
    from experiments.terminal.output_file import write_whole
    from experiments.terminal.text_table import show

    file = out or Path(f"{collection}-refined.yaml")
    if file.exists():
        raise UserError(f"{file} exists; move it away, or choose another name with --out")
    plans = refine(analyse(to_frame(documents.from_database([collection]).documents)), width)
    show(describe(plans, width))
    if not (further := [plan for plan in plans if new_runs(plan)]):
        print("no further runs are needed; no grid was written")
        return
    heading = [f"Second stage of {collection}, by walking-noise refine.", expectation(plans, width)]
    write_whole(file, grid_text(further, latest_run(collection), heading, file.parent))
    row = Row(count_runs(file), None)
    print(f"{totals(row.documents, row.trainings)}\n{file}: add it with `walking-noise add {collection} {file}`")
