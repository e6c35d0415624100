"""The kinds of noise, one file each; every file defines ``KIND``."""
