"""What can go wrong in an analysis, each said in one line."""

from __future__ import annotations


class AnalysisError(Exception):
    """An error whose text is meant for the user: what is wrong and what to do."""
