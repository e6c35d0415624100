"""Measurement of the speed at which this device trains and evaluates each kind of pack: ``walking-noise bench``."""

from __future__ import annotations
