"""Statuses of a run, as stored by SEML in the run's document."""

from __future__ import annotations

STAGED, PENDING, RUNNING = "STAGED", "PENDING", "RUNNING"
COMPLETED, FAILED, KILLED = "COMPLETED", "FAILED", "KILLED"
