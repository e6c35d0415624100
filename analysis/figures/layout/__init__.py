"""Layout shared by all figures: style, axes, and the grouping of series into figures."""
