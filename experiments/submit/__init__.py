"""From a grid to runs in the database, and from these to tasks of Slurm."""

from __future__ import annotations
