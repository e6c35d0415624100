"""Checks of ``walking-noise doctor``: of the site that adds and starts runs, and of the nodes that train them."""

from __future__ import annotations
