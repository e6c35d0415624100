"""Speech data sets: one-second recordings of single words, as cepstral coefficients for keyword spotting."""

from __future__ import annotations
