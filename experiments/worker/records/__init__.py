"""Records of a worker: documents and logs of its runs, and the history of workers and attempts."""

from __future__ import annotations
