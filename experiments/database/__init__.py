"""The database that holds the runs: the one SEML is configured with, and the embedded one."""

from __future__ import annotations
