"""From the documents of the runs to the papers' tables and figures.

The data go one way: documents (:mod:`analysis.documents`) become a data frame with a row per run
(:mod:`analysis.runs`), runs become series (:mod:`analysis.series`), a series has a midpoint noise level
(:mod:`analysis.fits`), and :mod:`analysis.report` writes tables, figures and a page.
"""
