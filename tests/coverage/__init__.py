"""Simulations that measure how often the intervals of the analysis contain the true value. ``make coverage``."""
