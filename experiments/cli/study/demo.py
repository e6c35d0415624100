"""``walking-noise demo``: runs a small study from its grid to the table of midpoints."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace, _SubParsersAction


def add_parser(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Add the command ``demo``."""
    text = "Run seml_configs/demo.yaml with SEML and an embedded database, and report on it; takes a few minutes."
    commands.add_parser("demo", help=text, description=text).set_defaults(run=_run)


def _run(options: Namespace) -> int:
    from experiments.submit.demo_study import demo

    demo()
    return 0
