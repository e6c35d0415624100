"""``walking-noise scrub``: secrets that stand in documents, removed."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace, _SubParsersAction


def add_parser(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Add ``scrub``."""
    text = "remove from documents what `seml add` kept of the user's environment, but for what jobs need"
    scrub = commands.add_parser("scrub", help=text, description=text)
    scrub.add_argument("collections", metavar="COLLECTION", nargs="+")
    scrub.add_argument("--dry-run", action="store_true", help="only say what would be removed; names, never values")
    scrub.set_defaults(run=_run)


def _run(options: Namespace) -> int:
    from experiments.database.run_collections import open_database
    from experiments.submit.scrub_secrets import clean, excess
    from experiments.terminal.progress_line import ProgressLine

    line = ProgressLine()
    with open_database(options.collections) as database:
        for name in options.collections:
            line.show(f"{name}: looking at the environments of its runs")
            found = list(excess(database[name]))
            total = sum(group.runs for group in found)
            names = sorted(frozenset[str]().union(*(group.names for group in found)))
            done = 0
            if not options.dry_run:
                for group in found:
                    line.show(f"{name}: {done:,} of {total:,} runs cleaned")
                    done += clean(database[name], group)
            line.end()
            if not found:
                print(f"{name}: no run holds more than is allowed")
            elif options.dry_run:
                print(f"{name}: {total:,} runs hold more than is allowed: {', '.join(names)}")
            else:
                print(f"{name}: {done:,} runs cleaned of {', '.join(names)}; change those that are passwords or tokens")
    return 0
