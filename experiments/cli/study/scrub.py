"""``walking-noise scrub``: removes secrets from the documents of runs."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace, _SubParsersAction


def add_parser(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Add the command ``scrub``."""
    text = (
        "Remove from the documents of runs the environment variables that jobs do not need, secrets among them, and "
        "passwords in the address of the git remote."
    )
    scrub = commands.add_parser(
        "scrub",
        help=text,
        description=f"{text} `seml add`, if called directly, stores all variables of the shell in every run.",
    )
    scrub.add_argument("collections", metavar="COLLECTION", nargs="+", help="name of a SEML collection")
    scrub.add_argument(
        "--dry-run", action="store_true", help="only list the names of the variables and addresses, and change nothing"
    )
    scrub.set_defaults(run=_run)


def _run(options: Namespace) -> int:
    from experiments.database.run_collections import open_database
    from experiments.submit.scrub_secrets import clean, excess
    from experiments.terminal.progress_line import ProgressLine
    from experiments.terminal.text_table import runs_in_words

    line = ProgressLine()
    with open_database(options.collections) as database:
        for name in options.collections:
            line.show(f"{name}: checking the environments of its runs")
            groups = list(excess(database[name]))
            total = sum(group.runs for group in groups)
            names = sorted(frozenset[str]().union(*(group.names for group in groups)))
            done = 0
            if not options.dry_run:
                for group in groups:
                    line.show(f"{name}: {done:,} of {runs_in_words(total)} cleaned")
                    done += clean(database[name], group)
            line.end()
            if not groups:
                print(f"{name}: no run contains a disallowed variable or address")
            elif options.dry_run:
                verb = "contains" if total == 1 else "contain"
                print(f"{name}: {runs_in_words(total)} {verb} disallowed variables or addresses: {', '.join(names)}")
            else:
                print(
                    f"{name}: removed from {runs_in_words(done)}: {', '.join(names)}; passwords and tokens among them "
                    "must be changed, because others may have read them"
                )
    return 0
