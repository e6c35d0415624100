"""``walking-noise watch``: how studies go, on one screen."""

from __future__ import annotations

import contextlib
from argparse import ArgumentParser, Namespace, _SubParsersAction

from experiments.cli.arguments import at_least


def add_parser(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Add ``watch``."""
    text = "runs, packs at work, rates, failures and the time left of collections, on one screen"
    watch = commands.add_parser("watch", help=text, description=f"{text}, until Ctrl-C.")
    watch.add_argument("collections", metavar="COLLECTION", nargs="+", help="of SEML")
    watch.add_argument("--once", action="store_true", help="show it once and end")
    seconds = "between two looks at the database, which take no more than a twentieth of the time; default: 10"
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
