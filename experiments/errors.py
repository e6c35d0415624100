"""What goes wrong around the runs."""

from __future__ import annotations


class UserError(Exception):
    """Something that the user can put right; its text says in one line what is wrong and what to do.

    The counterpart of :class:`walking_noise.WalkingNoiseError`, not derived from it: that would load torch, a second
    or more, where nothing is trained, as in ``walking-noise db`` and in the process that waits for a worker.
    """
