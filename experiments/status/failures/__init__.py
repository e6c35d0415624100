"""Failed runs: causes, suspect nodes, and the commands that reset the runs."""

from __future__ import annotations
