"""Analysis of finished runs: series, midpoint noise levels, and the papers' tables and figures.

Data flow in one direction: documents (:mod:`analysis.runs.documents`) become a data frame with a row per run
(:mod:`analysis.runs.run_frame`), runs are grouped into series (:mod:`analysis.runs.series`), each series gets a
midpoint noise level (:mod:`analysis.midpoints.midpoint`), and :mod:`analysis.report` writes tables, figures
and an HTML page.
"""
