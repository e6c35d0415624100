"""Image data sets: file formats, published files, and transforms."""

from __future__ import annotations
