"""What ``walking-noise doctor`` examines: the place where runs are added and started, and the nodes where they train.

``checks.py`` is the list.
"""

from __future__ import annotations
