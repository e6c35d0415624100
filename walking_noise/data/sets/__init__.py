"""Data sets: one module each, which defines ``DATA_SET``."""
