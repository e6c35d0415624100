"""What goes wrong around the runs."""

from __future__ import annotations


class UserError(Exception):
    """Something that the user can put right; its text says in one line what is wrong and what to do."""
