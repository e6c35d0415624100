"""Checkpoints of trainings, the cache of trained networks, and the provenance of results."""
