"""Pack: K networks of the same shape as one network; its layers, stacking, and selection of members."""
