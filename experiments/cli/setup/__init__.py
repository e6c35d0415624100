"""Commands that set up a machine: data sets, database, checks, measured speed."""

from __future__ import annotations
