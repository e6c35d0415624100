"""Speech: one-second recordings of single words, as the coefficients that a keyword spotter listens to."""

from __future__ import annotations
