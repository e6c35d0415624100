"""Command ``walking-noise``: its parser and its entry point."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from experiments.cli.monitor import checkpoints, deliver, failures, hours, rescue, watch
from experiments.cli.setup import bench, data, db, doctor
from experiments.cli.study import add, binarize, demo, plan, scrub, start
from experiments.errors import UserError


class _Version(argparse.Action):
    """Option that prints the version; importing the library, and torch with it, is deferred until then."""

    def __call__(self, parser: argparse.ArgumentParser, *rest: Any) -> None:
        from walking_noise import __version__

        print(f"walking_noise {__version__}")
        parser.exit()


def parser() -> argparse.ArgumentParser:
    """The parser of the command and of its subcommands."""
    top = argparse.ArgumentParser(
        prog="walking-noise",
        description="Measure how much noise neural networks tolerate at chosen layers. "
        "Grids are run by SEML (`seml`); these commands prepare, submit, monitor and repair the runs.",
    )
    top.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    for command in (
        demo,
        db,
        data,
        doctor,
        plan,
        add,
        start,
        watch,
        failures,
        hours,
        checkpoints,
        rescue,
        deliver,
        scrub,
        bench,
        binarize,
    ):
        command.add_parser(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 for success, 1 for an error, which is printed in one line.

    Invalid arguments end the process with exit code 2; an interrupt (Ctrl-C) returns 130.
    """
    options = parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except UserError as error:
        print(f"walking-noise: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
