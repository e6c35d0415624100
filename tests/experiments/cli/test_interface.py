"""Commands, arguments and options of ``walking-noise``, which users' scripts name."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from experiments.cli.app import parser

INTERFACE = Path(__file__).with_name("interface.txt")


def actions(command: argparse.ArgumentParser, path: str) -> Iterator[str]:
    """A line for each command with its arguments and options; defaults that are neither empty nor off are named."""
    parts = [path]
    for action in command._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, child in action.choices.items():
                yield from actions(child, f"{path} {name}")
            continue
        default = "" if action.default in (None, False, [], {}, argparse.SUPPRESS) else f"={action.default:g}"
        value = "" if action.nargs == 0 else f"{action.metavar or action.dest.upper()}{default}"
        more = {"+": "...", "*": "... (or none)"}.get(str(action.nargs), "")
        parts.append(" ".join([*sorted(action.option_strings), value + more]).strip())
    yield "\n  ".join([parts[0], *sorted(part for part in parts[1:] if "--help" not in part)])


def test_commands_and_options_keep_their_names():
    assert "\n".join(sorted(actions(parser(), "walking-noise"))) + "\n" == INTERFACE.read_text()
