"""Kernels for a CPU, compiled from C: noise, and consecutive layers on images. Optional: plain torch is equal."""
