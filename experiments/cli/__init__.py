"""Subcommands of ``walking-noise``; each module adds a parser and a function that returns the exit code."""

from __future__ import annotations
