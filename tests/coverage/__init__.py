"""Simulations of error rates and coverage: one script per statistic, each of which prints a table."""
