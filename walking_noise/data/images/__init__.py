"""Image data sets: file formats, published files, and transforms."""
