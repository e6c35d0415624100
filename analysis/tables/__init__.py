"""Tables of runs and series, written as CSV and LaTeX."""
