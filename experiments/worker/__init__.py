"""What a worker does, from its claim on runs to their documents, and what becomes of runs whose worker was lost."""

from __future__ import annotations
