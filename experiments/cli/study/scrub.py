"""``walking-noise scrub``: removes secrets from the documents of runs."""

from __future__ import annotations

from typing import Annotated

import typer

from experiments.cli.parameters import Collections


def scrub(
    collections: Collections,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="only list the names of the variables and addresses, and change nothing")
    ] = False,
) -> None:
    """Remove from the documents of runs the environment variables that jobs do not need, secrets among them.

    Passwords in the address of the git remote are removed, too. `seml add`, if
    called directly, stores all variables of the shell in every run.

    Example: walking-noise scrub table1_mnist --dry-run
    """
    from experiments.database.run_collections import open_database
    from experiments.submit.scrub_secrets import clean, excess
    from experiments.terminal.progress_line import ProgressLine
    from experiments.terminal.text_table import runs_in_words

    line = ProgressLine()
    with open_database(collections) as database:
        for name in collections:
            line.show(f"{name}: checking the environments of its runs")
            groups = list(excess(database[name]))
            total = sum(group.runs for group in groups)
            names = sorted(frozenset[str]().union(*(group.names for group in groups)))
            done = 0
            if not dry_run:
                for group in groups:
                    line.show(f"{name}: {done:,} of {runs_in_words(total)} cleaned")
                    done += clean(database[name], group)
            line.end()
            if not groups:
                print(f"{name}: no run contains a disallowed variable or address")
            elif dry_run:
                verb = "contains" if total == 1 else "contain"
                print(f"{name}: {runs_in_words(total)} {verb} disallowed variables or addresses: {', '.join(names)}")
            else:
                print(
                    f"{name}: removed from {runs_in_words(done)}: {', '.join(names)}; passwords and tokens among them "
                    "must be changed, because others may have read them"
                )
