"""``walking-noise demo``: runs a small study from its grid to the table of midpoints."""

from __future__ import annotations


def demo() -> None:
    """Run seml_configs/demo.yaml with SEML and an embedded database, and report on it; takes a few minutes.

    Example: walking-noise demo
    """
    from experiments.submit.demo_study import demo

    demo()
