"""Base error of the analysis."""

from __future__ import annotations

from walking_noise import WalkingNoiseError


class AnalysisError(WalkingNoiseError):
    """The analysis cannot run. The message states in one line what is wrong and how to fix it."""
