"""The error of the analysis."""

from __future__ import annotations

from walking_noise import WalkingNoiseError


class AnalysisError(WalkingNoiseError):
    """An analysis cannot be made. The text says in one line what is wrong and what to do."""
