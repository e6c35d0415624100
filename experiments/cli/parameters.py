"""Parameters shared by several commands."""

from __future__ import annotations

import ast
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

Collection = Annotated[str, typer.Argument(metavar="COLLECTION", help="name of the SEML collection")]
Collections = Annotated[
    list[str],
    typer.Argument(
        metavar="COLLECTION", help="names of SEML collections", callback=lambda names: list(dict.fromkeys(names))
    ),
]
Grids = Annotated[
    list[str], typer.Argument(metavar="FILE", help="SEML files, folders of SEML files, or patterns such as **/*.yaml")
]
Throughput = Annotated[
    Path | None, typer.Option("--throughput", metavar="FILE", help="speeds measured by `walking-noise bench --save`")
]
JsonFile = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="also write the numbers to this file")]

PASSED_ON = "SEML options that are passed on"
passed: Callable[..., Any] = partial(typer.Option, rich_help_panel=PASSED_ON)
"""Option of SEML that a command does not read itself; :func:`passed_on` returns it."""
read: Callable[..., Any] = partial(typer.Option, rich_help_panel="SEML options")
"""Option of SEML that a command reads."""


def passed_on(context: typer.Context) -> list[str]:
    """The arguments for SEML: all options that were given and that are declared by :data:`passed`."""
    arguments = []
    for option in context.command.params:
        value = context.params.get(option.name)
        if getattr(option, "rich_help_panel", None) == PASSED_ON and value not in (None, False):
            arguments += [option.opts[-1], *([] if value is True else [value])]
    return arguments


def dictionary(text: str) -> dict[str, Any]:
    """Parse the Python dictionary that an option of SEML takes."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = None
    if not isinstance(value, dict):
        raise typer.BadParameter(f"{text!r} is not a dictionary such as {{'training.epochs': 5}}")
    return value
