"""The subcommands of ``walking-noise``: each module adds its parser, whose ``run`` gives the exit code."""

from __future__ import annotations
