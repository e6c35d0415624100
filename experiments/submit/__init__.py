"""Submission of studies: from a grid to runs in the database, and from the runs to Slurm tasks."""

from __future__ import annotations
