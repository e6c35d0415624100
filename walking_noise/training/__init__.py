"""Training of a pack: trainer, members, training step, Adam, CUDA graphs, divergence detection, callbacks."""
