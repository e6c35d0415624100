"""``walking-noise hours``: the GPU and CPU hours of studies."""

from __future__ import annotations

import json
from dataclasses import asdict

from experiments.cli.parameters import Collections, JsonFile, Throughput


def hours(
    collections: Collections,
    measured: Throughput = None,
    json_file: JsonFile = None,
) -> None:
    """Report the GPU and CPU hours of collections: used, wasted (a part of the used hours) and still needed.

    Measured speeds are used for kinds of runs without a completed run.

    Example: walking-noise hours table1_mnist table1_cifar10 --json hours.json
    """
    from experiments.database.run_collections import open_database
    from experiments.plan import throughput
    from experiments.status.hours_table import describe, study_hours
    from experiments.terminal.output_file import write_whole
    from experiments.terminal.text_table import show

    devices = throughput.known(measured)
    with open_database(collections) as database:
        rows = study_hours(database, collections, next(iter(devices), None))
    if json_file is not None:
        write_whole(json_file, json.dumps([asdict(row) for row in rows], indent=1))
    show(describe(rows))
