"""Tables of runs and series, written as CSV and LaTeX."""

from __future__ import annotations
