"""``walking-noise failures``: groups failed runs by cause and prints the commands that reset them."""

from __future__ import annotations

from typing import Annotated

import typer

from experiments.cli.parameters import Collections
from experiments.errors import UserError


def failures(
    collections: Collections,
    run: Annotated[
        int | None,
        typer.Option(
            metavar="ID", help="show the unsuccessful attempts at this run of one collection, with tracebacks"
        ),
    ] = None,
    forget: Annotated[
        bool,
        typer.Option(
            "--forget",
            help="from now on, earlier failures stop no worker, exclude no node, limit no pack; they stay listed",
        ),
    ] = False,
) -> None:
    """List failed runs and attempts by cause, with their nodes, an example, and the command that resets the runs.

    If the first runs all fail for one cause, workers claim no more runs until
    these are reset. Nodes with an unusually high share of failures are excluded
    until `--forget`. Attempts are still listed after `seml reset`.

    Example: walking-noise failures table1_mnist --run 17
    """
    from experiments.database.run_collections import open_database, status_counts
    from experiments.status.failures.failure_text import attempts_of, describe
    from experiments.worker.failures.claims import consequences
    from experiments.worker.failures.failure_groups import grouped
    from experiments.worker.records.study_record import forget_failures

    if run is not None and len(collections) > 1:
        raise UserError("--run: several collections are given; give only the collection of the run")
    with open_database(collections) as database:
        if forget:
            for name in collections:
                forget_failures(database, name)
        if run is not None:
            lines = list(attempts_of(database, collections[0], run))
        else:
            counts = {name: status_counts(database[name]) for name in collections}
            lines = describe(grouped(database, collections), counts, consequences(database, collections))
    print("\n".join(lines))
