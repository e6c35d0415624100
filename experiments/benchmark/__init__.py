"""Benchmark: packs against the usual ways of training many small networks, and the speed of every kind of pack.

``walking-noise bench`` builds the peers, checks that they compute the same, times them in turn and prints the results.
"""

from __future__ import annotations
