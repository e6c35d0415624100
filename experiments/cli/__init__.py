"""Subcommands of ``walking-noise``: functions with typed parameters, which Typer turns into commands."""

from __future__ import annotations
