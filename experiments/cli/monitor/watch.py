"""``walking-noise watch``: shows the progress of studies on one screen."""

from __future__ import annotations

import contextlib
from argparse import ArgumentParser, Namespace, _SubParsersAction

from experiments.cli.arguments import at_least


def add_parser(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Add the command ``watch``."""
    text = "Show runs, active workers, rates, failures and remaining time of collections on one screen."
    watch = commands.add_parser("watch", help=text, description=f"{text} Ctrl-C ends it.")
    watch.add_argument("collections", metavar="COLLECTION", nargs="+", help="name of a SEML collection")
    watch.add_argument("--once", action="store_true", help="show the screen once and exit")
    seconds = (
        "seconds between two queries; default: 10. Slow queries are repeated less often, so that they take at most 5 "
        "%% of the time"
    )
    watch.add_argument("--seconds", metavar="N", type=at_least(1), default=10.0, help=seconds)
    watch.set_defaults(run=_run)


def _run(options: Namespace) -> int:
    from experiments.status.watch_loop import once, watch

    names = list(dict.fromkeys(options.collections))
    if options.once:
        once(names)
        return 0
    with contextlib.suppress(KeyboardInterrupt):
        watch(names, options.seconds)
    return 0
