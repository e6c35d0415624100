"""Models of the papers: one module each, which defines ``MODEL`` and imports torch when a model is built."""
