"""Argument types shared by several commands."""

from __future__ import annotations

import argparse
import ast
from collections.abc import Callable, Sequence
from typing import Any


class PassedOption(argparse.Action):
    """Option of SEML, appended unchanged to ``options.passed_on``; ``nargs=0`` for an option without a value."""

    def __init__(self, option_strings: Sequence[str], dest: str, **settings: Any) -> None:
        super().__init__(option_strings, "passed_on", default=[], **settings)

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        options: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option: str | None = None,
    ) -> None:
        arguments = [str(option), *([values] if isinstance(values, str) else values or [])]
        options.passed_on = [*options.passed_on, *arguments]


def dictionary(text: str) -> dict[str, Any]:
    """Parse the Python dictionary that an option of SEML takes."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"{text!r} is not a dictionary such as {{'training.epochs': 5}}")
    return value


def positive(text: str) -> int:
    """Parse a whole number >= 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number >= 1")
    return int(text)


def at_least(minimum: float) -> Callable[[str], float]:
    """The parser of a finite number >= ``minimum``."""

    def number(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not minimum <= value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text!r} is not a number >= {minimum:g}")
        return value

    return number
