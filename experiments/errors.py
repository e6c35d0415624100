"""Error that a user can correct."""

from __future__ import annotations

from walking_noise import WalkingNoiseError


class UserError(WalkingNoiseError):
    """Error that a user can correct; its text states in one line what is wrong and what to do."""
