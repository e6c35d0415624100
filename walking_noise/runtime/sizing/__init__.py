"""Pack sizes: estimates of the memory of runs, capacity of a device, and limits learned when memory ran out."""
