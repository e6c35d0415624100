"""Runs: from documents to a data frame with a row per run, and to series."""

from __future__ import annotations
