"""Evaluation of runs on the validation set: the evaluator, and the activations that runs share."""

from __future__ import annotations
