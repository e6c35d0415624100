"""``walking-noise demo``: from a grid to the midpoint table."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace, _SubParsersAction


def add_parser(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Add ``demo``."""
    text = "run seml_configs/demo.yaml through SEML with an embedded database, and report on it; a few minutes"
    commands.add_parser("demo", help=text, description=text).set_defaults(run=_run)


def _run(options: Namespace) -> int:
    from experiments.submit.demo_study import demo

    demo()
    return 0
