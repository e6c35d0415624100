"""Records of a worker: the runs' documents and logs, and the history of attempts."""

from __future__ import annotations
