"""``walking-noise failures``: groups failed runs by cause and prints the commands that reset them."""

from __future__ import annotations

from typing import Annotated

import typer

from experiments.cli.parameters import Collections
from experiments.errors import UserError


def failures(
    collections: Collections,
    run: Annotated[
        int | None, typer.Option(metavar="ID", help="show all attempts at this run of one collection, with tracebacks")
    ] = None,
) -> None:
    """List failed runs and attempts by cause, with their nodes, an example, and the command that resets the runs.

    Nodes with an unusually high share of failures are named. Attempts are
    still listed after `seml reset`.

    Example: walking-noise failures table1_mnist --run 17
    """
    from experiments.database.run_collections import open_database
    from experiments.status.failures.failure_groups import grouped
    from experiments.status.failures.failure_text import ENDED_FROM_OUTSIDE, attempts_of, describe
    from experiments.status.failures.suspect_nodes import suspects

    if run is not None and len(collections) > 1:
        raise UserError("--run: several collections are given; give only the collection of the run")
    with open_database(collections) as database:
        if run is not None:
            lines = list(attempts_of(database, collections[0], run))
        else:
            statuses = {
                status: {
                    name: count for name in collections if (count := database[name].count_documents({"status": status}))
                }
                for status in ENDED_FROM_OUTSIDE
            }
            lines = describe(grouped(database, collections), statuses, suspects(database, collections))
    print("\n".join(lines))
