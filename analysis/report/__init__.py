"""The report: one page with its figures and tables."""

from __future__ import annotations
