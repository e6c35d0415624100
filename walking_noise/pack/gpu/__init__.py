"""Alternatives for layers on a GPU, and the choice between them by the table of ``walking-noise bench --save``."""

from __future__ import annotations
