"""Delivery of results and heartbeats to the database, and the spool of results on disk."""

from __future__ import annotations
