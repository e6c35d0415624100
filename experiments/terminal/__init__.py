"""Output to a terminal and to files: text tables, progress lines, files that a user names."""

from __future__ import annotations
