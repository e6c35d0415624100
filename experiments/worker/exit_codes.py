"""Exit codes of a worker, and the signals that stop it. Imports the standard library only."""

from __future__ import annotations

import os
import signal

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP)
"""Signals that make a worker release its runs and exit. SIGHUP is sent when its terminal is closed."""
LEADER_FAILED = 3
"""The run that SEML started the worker with has failed."""
DEVICE_FAILED = os.EX_UNAVAILABLE
"""The GPU failed, so no run is to blame."""
CLAIMS_STOPPED = os.EX_CONFIG
"""The worker claimed no run: the study was stopped by its first failures, or the node is a suspect."""
DATABASE_UNREACHABLE = os.EX_TEMPFAIL
"""The database stayed unreachable, so the worker could not release its runs."""
CLEAN_EXIT_CODES = (0, LEADER_FAILED, DEVICE_FAILED, CLAIMS_STOPPED, *(128 + signum for signum in STOP_SIGNALS))
"""After these exit codes no run of the worker needs recovery."""
