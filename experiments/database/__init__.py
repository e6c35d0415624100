"""Access to the MongoDB database of the runs: SEML's configured database and the embedded one."""

from __future__ import annotations
