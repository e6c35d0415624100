"""Comparison with the Walking Noise papers: Tables I and II, claims, ledger, sensitivity."""

from __future__ import annotations
