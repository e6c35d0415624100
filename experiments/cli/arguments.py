"""Kinds of arguments that several commands take."""

from __future__ import annotations

import argparse
import ast
from collections.abc import Callable, Sequence
from typing import Any


class PassedOption(argparse.Action):
    """An option of SEML's, collected as it was typed in ``options.passed_on``; ``nargs=0``: it takes no value."""

    def __init__(self, option_strings: Sequence[str], dest: str, **how: Any) -> None:
        super().__init__(option_strings, "passed_on", default=[], **how)

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        options: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option: str | None = None,
    ) -> None:
        typed = [str(option), *([values] if isinstance(values, str) else values or [])]
        options.passed_on = [*options.passed_on, *typed]


def dictionary(text: str) -> dict[str, Any]:
    """The dictionary that an option of SEML's is given as."""
    try:
        given = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        given = None
    if not isinstance(given, dict):
        raise argparse.ArgumentTypeError(f"{text!r} is no dictionary as {{'training.epochs': 5}}")
    return given


def positive(text: str) -> int:
    """A whole number >= 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number >= 1")
    return int(text)


def at_least(least: float) -> Callable[[str], float]:
    """A finite number >= ``least``."""

    def number(text: str) -> float:
        try:
            given = float(text)
        except ValueError:
            given = float("nan")
        if not least <= given < float("inf"):
            raise argparse.ArgumentTypeError(f"{text!r} is refused; allowed is a number >= {least:g}")
        return given

    return number
