"""Training of a pack: trainer, members, Adam, CUDA graphs, divergence detection, callbacks."""
