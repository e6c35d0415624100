"""What grids would do before anything is submitted: how many runs, trainings, packs, tasks, hours, bytes."""

from __future__ import annotations
