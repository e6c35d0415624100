"""Why runs have failed: causes, nodes, and the commands that put it right."""

from __future__ import annotations
