"""Commands that set up a machine: data sets, embedded database, checks, benchmark."""

from __future__ import annotations
