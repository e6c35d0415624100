"""Error that a user can correct."""

from __future__ import annotations


class UserError(Exception):
    """Error that a user can correct; its text states in one line what is wrong and what to do.

    The counterpart of :class:`walking_noise.WalkingNoiseError`. It is not derived from that class, because the import
    would load torch, which takes a second or more, in processes that train nothing: ``walking-noise db``, and the
    process that waits for a worker.
    """
