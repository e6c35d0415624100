"""Text of failures, and the commands that reset the failed runs."""

from __future__ import annotations
