"""Runs on a cluster: from a SEML grid to one Sacred document per run. Thin shells around :mod:`walking_noise`."""

from __future__ import annotations
