"""Execution of runs: train() and train_each(), the planner, the executor with its retries, and the worker processes."""

from __future__ import annotations
