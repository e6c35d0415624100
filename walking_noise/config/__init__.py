"""Settings of a run: the fields, the checks that they fit together, and the keys derived from them."""

from __future__ import annotations
