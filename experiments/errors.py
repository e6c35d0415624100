"""Errors of the package ``experiments``."""

from __future__ import annotations


class UserError(Exception):
    """An error that the user can correct. Its message states in one line what is wrong and what to do.

    It is the counterpart of :class:`walking_noise.WalkingNoiseError`, but not a subclass of it. A subclass would import
    torch, which takes a second or more, in processes that train nothing: ``walking-noise db``, a worker's supervisor.
    """
