"""Command ``walking-noise``: a Typer application, and its entry point."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.exceptions import TyperException

from experiments.cli.monitor import checkpoints, deliver, failures, hours, rescue, watch
from experiments.cli.setup import bench, data, db, doctor, points, settings
from experiments.cli.study import add, allocate, binarize, demo, look, plan, refine, scrub, start
from walking_noise import WalkingNoiseError
from walking_noise.process_setup import set_up

app = typer.Typer(pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]})

COMMANDS = {
    "Study": (
        demo.demo,
        plan.plan,
        add.add,
        start.start,
        refine.refine,
        allocate.allocate,
        binarize.binarize,
        look.look,
        scrub.scrub,
    ),
    "Monitor and recover": (watch.watch, failures.failures, hours.hours, rescue.rescue, deliver.deliver),
    "Set up": (doctor.doctor, settings.settings, points.points, bench.bench),
}
"""Commands by the panel of the help that lists them; the docstring of a command is its help."""
GROUPS = {"Monitor and recover": (checkpoints.app,), "Set up": (db.app, data.app)}
"""Commands with actions, by panel."""

for panel, commands in COMMANDS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)
for panel, groups in GROUPS.items():
    for group in groups:
        app.add_typer(group, rich_help_panel=panel)


def _print_version(wanted: bool) -> None:
    if wanted:
        from walking_noise import __version__

        print(f"walking_noise {__version__}")
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="print the version and exit")
    ] = False,
) -> None:
    """Measure how much noise neural networks tolerate at chosen layers.

    Grids are run by SEML (`seml`); these commands prepare, submit, monitor and repair the runs.

    Example: walking-noise demo
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    0: success. 1: an error, printed in one line. 2: invalid arguments, printed with the usage. 130: interrupt (Ctrl-C).
    """
    set_up()
    try:
        return int(app(arguments, prog_name="walking-noise", standalone_mode=False) or 0)
    except WalkingNoiseError as error:
        print(f"walking-noise: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        if error.filename is None:
            raise
        print(f"walking-noise: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] in ("walking_noise", "experiments", "analysis"):
            raise
        print(f"walking-noise: {error}; in the checkout, run `pip install '.[cluster]'`", file=sys.stderr)
        return 1
    except TyperException as error:
        print(f"walking-noise: {error.format_message()}", file=sys.stderr)
        if context := getattr(error, "ctx", None):
            print(context.get_usage(), file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
