"""Plan of grids before they are submitted: number of runs, trainings, packs, tasks, hours and bytes."""

from __future__ import annotations
