"""From the documents of the runs to the papers' tables and figures.

The data go one way: documents (:mod:`analysis.runs.documents`) become a data frame with a row per run
(:mod:`analysis.runs.run_frame`), runs become series (:mod:`analysis.runs.series`), a series has a midpoint noise level
(:mod:`analysis.midpoints.midpoint`), and :mod:`analysis.report.make_report` writes tables, figures and a page.
"""
