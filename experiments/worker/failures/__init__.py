"""Failures of a study: groups by cause, and the stop of workers by first failures or on suspect nodes."""

from __future__ import annotations
