"""``walking-noise failures``: groups failed runs by cause and prints the commands that reset them."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace, _SubParsersAction

from experiments.errors import UserError


def add_parser(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Add the command ``failures``."""
    text = "List failed runs and attempts by cause, with their nodes, an example, and the command that resets the runs."
    failures = commands.add_parser(
        "failures",
        help=text,
        description=f"{text} Nodes with an unusually high share of failures are named. Attempts are still listed after "
        "`seml reset`.",
    )
    failures.add_argument("collections", metavar="COLLECTION", nargs="+", help="name of a SEML collection")
    run = "show all attempts at this run of one collection, with their tracebacks"
    failures.add_argument("--run", metavar="ID", type=int, dest="one", help=run)
    failures.set_defaults(run=_run)


def _run(options: Namespace) -> int:
    from experiments.database.run_collections import open_database
    from experiments.status.failures.failure_groups import grouped
    from experiments.status.failures.failure_text import ENDED_FROM_OUTSIDE, attempts_of, describe
    from experiments.status.failures.suspect_nodes import suspects

    names = list(dict.fromkeys(options.collections))
    if options.one is not None and len(names) > 1:
        raise UserError("--run: several collections are given; give only the collection of the run")
    with open_database(names) as database:
        if options.one is not None:
            lines = list(attempts_of(database, names[0], options.one))
        else:
            statuses = {
                status: {name: count for name in names if (count := database[name].count_documents({"status": status}))}
                for status in ENDED_FROM_OUTSIDE
            }
            lines = describe(grouped(database, names), statuses, suspects(database, names))
    print("\n".join(lines))
    return 0
