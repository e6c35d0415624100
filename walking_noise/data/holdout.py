"""Splits of a set of images that depend on the images alone: not on their order, nor on a library's random numbers."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHARE = 10
"""One image in this many of each class is held out."""
KEY = b"walking_noise holdout"


def held_out(images: NDArray[np.uint8], labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Which images (n, …) validate and do not train: of each class one tenth, the first in the order of digests."""
    order = by_digest(images, KEY)
    sizes = np.bincount(labels)[labels]
    chosen = np.empty(len(images), np.bool_)
    chosen[order] = number_in_class(labels[order]) < sizes[order] // SHARE
    return chosen


def by_digest(images: NDArray[np.uint8], key: bytes) -> list[int]:
    """A fixed permutation: the order of the images' BLAKE2b digests, keyed with ``key``."""
    digests = [hashlib.blake2b(image.tobytes(), key=key).digest() for image in images]
    return sorted(range(len(images)), key=digests.__getitem__)


def number_in_class(labels: NDArray[Any]) -> NDArray[np.int64]:
    """How many samples of the same class stand before each sample."""
    same_class = labels[:, None] == np.unique(labels)
    numbers: NDArray[np.int64] = same_class.cumsum(axis=0)[same_class] - 1
    return numbers
