"""Simulations of the analysis: coverage of its intervals, error rates of its flag for a plateau. ``make coverage``."""
