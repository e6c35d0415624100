"""The signals that stop a worker, and the exit codes with which it ends. Only the standard library is imported here."""

from __future__ import annotations

import os
import signal

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP)
"""These signals ask a worker to give its runs back and to end; the last one says that its terminal was closed."""
LEADER_FAILED = 3
"""A worker ends with this exit code if the run that SEML started failed, …"""
DEVICE_GONE = os.EX_UNAVAILABLE
"""… if its GPU failed, so that no run can be blamed;"""
DATABASE_GONE = os.EX_TEMPFAIL
"""… if the database stayed away, so that the worker could not give back what it had claimed."""
CLEAN_EXIT_CODES = (0, LEADER_FAILED, DEVICE_GONE, *(128 + signum for signum in STOP_SIGNALS))
"""A worker that ends with one of these exit codes has left nothing to settle."""
