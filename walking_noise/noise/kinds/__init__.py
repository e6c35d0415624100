"""Kinds of noise: one module each, which defines ``KIND``."""
