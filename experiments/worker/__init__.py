"""Worker: leases of runs, training, records, delivery of results, and recovery of runs of lost workers."""

from __future__ import annotations
