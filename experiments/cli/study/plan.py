"""``walking-noise plan``: estimates the demand of grids before they are submitted."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from experiments.cli.parameters import Grids, JsonFile, Throughput


def plan(
    files: Grids,
    collection: Annotated[
        str | None, typer.Option(metavar="NAME", help="also count the runs that this collection already has")
    ] = None,
    max_array_size: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="tasks per Slurm array; default: MaxArraySize of Slurm")
    ] = None,
    measured: Throughput = None,
    json_file: JsonFile = None,
) -> None:
    """Estimate the demand of grids before they are submitted: runs, trainings, packs, Slurm tasks, hours, disk.

    Hours need measured speeds. Without --throughput these are read from
    the default file of `walking-noise bench --save`.

    Example: walking-noise plan seml_configs/table1 --collection table1
    """
    from experiments import slurm
    from experiments.database.connection import DatabaseError
    from experiments.plan import throughput
    from experiments.plan.grid_files import find
    from experiments.plan.plan_table import describe
    from experiments.plan.run_counts import present_in
    from experiments.plan.study_plan import count, numbers, plan, together_on
    from experiments.terminal.output_file import write_whole
    from experiments.terminal.text_table import show

    devices = throughput.known(measured)
    paths = find(files)
    present = None
    if collection is not None:
        try:
            present = present_in(collection)
        except DatabaseError as error:
            print(f"walking-noise: the runs in collection {collection} are not counted: {error}", file=sys.stderr)
    counts, errors = count(paths)
    for invalid in errors:
        print(f"walking-noise: {invalid}", file=sys.stderr)
    if errors:
        raise typer.Exit(1)
    rows = plan(counts, present)
    known = max_array_size or slurm.max_array_size()
    array_size = known or slurm.DEFAULT_ARRAY_SIZE
    pack_size = together_on(devices[0] if devices else None)
    if json_file is not None:
        write_whole(json_file, json.dumps(numbers(rows, devices, pack_size), indent=1))
    show(describe(rows, collection, array_size, known is not None, devices, pack_size))
