"""Delivery of results to the database, and the spool on disk for when it does not answer."""

from __future__ import annotations
