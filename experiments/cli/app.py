"""The command ``walking-noise``."""

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
    """Prints the version, which is read only then: it comes with torch."""

    def __call__(self, parser: argparse.ArgumentParser, *rest: Any) -> None:
        from walking_noise import __version__

        print(f"walking_noise {__version__}")
        parser.exit()


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    top = argparse.ArgumentParser(
        prog="walking-noise",
        description="Robustness of neural networks against noise at chosen layers. "
        "Grids are run with seml; this is the rest.",
    )
    top.add_argument("--version", action=_Version, nargs=0, help="print the version")
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
    """Run the command; 0: done, 1: an error, told in one line, 2: wrong usage."""
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
