"""Random number generation for noise: torch's generators on a CPU, Philox4x32-10 on a GPU."""
