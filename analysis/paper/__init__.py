"""Comparison with the Walking Noise papers: Tables I and II, claims and their ledger, sensitivity to choices."""

from __future__ import annotations
