"""``walking-noise plan``: what grids would do."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace, _SubParsersAction
from pathlib import Path

from experiments.cli.arguments import positive


def add_parser(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Add ``plan``."""
    text = "what grids would do before anything is submitted: runs, trainings, packs, Slurm tasks, hours, disk"
    plan = commands.add_parser("plan", help=text, description=text)
    plan.add_argument("files", metavar="FILE", nargs="+", help="SEML files, folders of them, or patterns as **/*.yaml")
    plan.add_argument("--collection", metavar="NAME", help="count the runs that this collection has already")
    plan.add_argument(
        "--max-array-size", metavar="N", type=positive, help="tasks of a Slurm array; default: what Slurm says"
    )
    measured = "speeds as `walking-noise bench --save` keeps them; default: its own file, if there is one"
    plan.add_argument("--throughput", metavar="FILE", type=Path, help=measured)
    plan.add_argument("--json", metavar="FILE", type=Path, help="write the numbers to a file, too")
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
            print(f"walking-noise: {options.collection} was not looked at: {error}", file=sys.stderr)
    line = ProgressLine()
    outcomes = list(count(paths, line.show))
    line.end()
    refused = [outcome for outcome in outcomes if not isinstance(outcome, RunCounts)]
    if refused:
        for refusal in refused:
            print(f"walking-noise: {refusal}", file=sys.stderr)
        return 1
    rows = plan([outcome for outcome in outcomes if isinstance(outcome, RunCounts)], present)
    known = options.max_array_size or slurm.max_array_size()
    array_size = known or slurm.USUAL_ARRAY_SIZE
    pack_size = together_on(devices[0] if devices else None)
    if options.json is not None:
        write_whole(options.json, json.dumps(numbers(rows, devices, pack_size), indent=1))
    for text in describe(rows, options.collection, array_size, known is not None, devices, pack_size):
        print(text)
    return 0
