"""Simulations of the coverage of intervals."""
