"""Evaluation on the validation set, with each run's noise at inference."""

from __future__ import annotations
