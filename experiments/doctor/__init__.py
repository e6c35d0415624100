"""Checks of ``walking-noise doctor``: of the site where runs are added and started, and of the nodes that train them.

:data:`experiments.doctor.examination.CHECKS` lists them.
"""

from __future__ import annotations
