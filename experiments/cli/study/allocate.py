"""``walking-noise allocate``: allocates executions to noisy layers, and writes the grid that compares the schemes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from experiments.cli.parameters import Collection


def allocate(
    collection: Collection,
    budget: Annotated[
        list[int] | None,
        typer.Option(metavar="N", min=1, help="mean number of executions per noise point; repeatable; default: 2 3 5"),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="number of seeds, none of them in the collection")] = 3,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="grid to write; default: COLLECTION-allocated.yaml")
    ] = None,
) -> None:
    """Allocate executions to the noisy layers by their midpoints, and write the grid that compares the schemes.

    A layer that is executed n times has the mean of its noise, 1/√n of it.
    The collection needs runs with noise at inference only, at every noise
    point and under global noise. Schemes with equal budget: the same number at
    every point; numbers that grow with 1/√μ, 1/μ, 1/μ², or with the rank; the
    optimum; and the optimum for a budget of multiply-accumulates.

    Example: walking-noise allocate walking_mnist --budget 3
    """
    from analysis.midpoints.allocation import measured_networks
    from analysis.midpoints.study import analyse
    from analysis.runs import documents
    from analysis.runs.run_frame import to_frame
    from experiments.errors import UserError
    from experiments.plan.allocated_grid import allocated_grid, describe
    from experiments.plan.refined_grid import latest_run
    from experiments.plan.run_counts import count_runs
    from experiments.terminal.output_file import write_whole
    from experiments.terminal.text_table import runs_in_words, show

    budgets = sorted(set(budget or (2, 3, 5)))
    file = out or Path(f"{collection}-allocated.yaml")
    if file.exists():
        raise UserError(f"{file} exists; move it away, or choose another name with --out")
    networks = measured_networks(analyse(to_frame(documents.from_database([collection]).documents)))
    if not networks:
        raise UserError(
            f"{collection} has no network with a midpoint at every noise point and under global noise, for noise at "
            "inference only; such runs have noise.in_training: false, and noise.point: global or a number"
        )
    show(describe(networks, budgets))
    write_whole(file, allocated_grid(networks, budgets, seeds, latest_run(collection), collection, file.parent))
    counted = count_runs(file)
    print(f"{runs_in_words(counted.runs)}\n{file}: add it with `walking-noise add COLLECTION {file}`")
