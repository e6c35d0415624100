"""Comparison with the Walking Noise papers: Tables I and II, claims and their ledger, sensitivity to choices."""
