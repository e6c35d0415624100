"""Statuses of a run, as SEML stores them in its document."""

from __future__ import annotations

STAGED, PENDING, RUNNING = "STAGED", "PENDING", "RUNNING"
COMPLETED, FAILED, KILLED = "COMPLETED", "FAILED", "KILLED"
