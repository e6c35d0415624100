"""Figures of mixed noise: maps, ratios and points."""
