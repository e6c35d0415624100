"""Runs on a cluster, from a SEML grid to one Sacred document per run. Training is done by :mod:`walking_noise`."""

from __future__ import annotations
