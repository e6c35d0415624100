"""Tables as CSV and LaTeX."""

from __future__ import annotations
