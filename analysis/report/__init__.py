"""Report of a study: one HTML page with its figures and tables."""
