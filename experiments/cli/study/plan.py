"""``walking-noise plan``: estimates the demand of grids before they are submitted."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace, _SubParsersAction
from pathlib import Path

from experiments.cli.arguments import positive


def add_parser(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Add the command ``plan``."""
    text = "Estimate the demand of grids before they are submitted: runs, trainings, packs, Slurm tasks, hours, disk."
    plan = commands.add_parser("plan", help=text, description=text)
    plan.add_argument(
        "files", metavar="FILE", nargs="+", help="SEML files, folders of SEML files, or patterns such as **/*.yaml"
    )
    plan.add_argument("--collection", metavar="NAME", help="also count the runs that this collection already has")
    plan.add_argument(
        "--max-array-size", metavar="N", type=positive, help="tasks per Slurm array; default: MaxArraySize of Slurm"
    )
    measured = "speeds measured by `walking-noise bench --save`; default: the default file of bench, if it exists"
    plan.add_argument("--throughput", metavar="FILE", type=Path, help=measured)
    plan.add_argument("--json", metavar="FILE", type=Path, help="also write the numbers to this file")
    plan.set_defaults(run=_run)


def _run(options: Namespace) -> int:
    from experiments import slurm
    from experiments.database.connection import DatabaseError
    from experiments.plan import existing_runs, throughput
    from experiments.plan.grid_files import find
    from experiments.plan.plan_table import describe
    from experiments.plan.run_counts import RunCounts
    from experiments.plan.study_plan import count, numbers, plan, together_on
    from experiments.terminal.output_file import write_whole
    from experiments.terminal.progress_line import ProgressLine

    devices = throughput.known(options.throughput)
    paths = find(options.files)
    present = None
    if options.collection is not None:
        try:
            present = existing_runs.present_in(options.collection)
        except DatabaseError as error:
            print(
                f"walking-noise: the runs in collection {options.collection} are not counted: {error}", file=sys.stderr
            )
    line = ProgressLine()
    outcomes = list(count(paths, line.show))
    line.end()
    errors = [outcome for outcome in outcomes if not isinstance(outcome, RunCounts)]
    if errors:
        for invalid in errors:
            print(f"walking-noise: {invalid}", file=sys.stderr)
        return 1
    rows = plan([outcome for outcome in outcomes if isinstance(outcome, RunCounts)], present)
    known = options.max_array_size or slurm.max_array_size()
    array_size = known or slurm.DEFAULT_ARRAY_SIZE
    pack_size = together_on(devices[0] if devices else None)
    if options.json is not None:
        write_whole(options.json, json.dumps(numbers(rows, devices, pack_size), indent=1))
    for text in describe(rows, options.collection, array_size, known is not None, devices, pack_size):
        print(text)
    return 0
