"""Runs: documents, the data frame with a row per run, and series of runs."""
