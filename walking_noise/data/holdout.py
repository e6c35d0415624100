"""Holdout split of a set of images, as a function of the images only, not of their order or of random numbers."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHARE = 10
"""One of this many images of each class is held out."""
KEY = b"walking_noise holdout"


def held_out(images: NDArray[np.uint8], labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Mask (n,) of the images (n, …) held out for validation: in each class the first tenth in the order of digests."""
    order = by_digest(images, KEY)
    sizes = np.bincount(labels)[labels]
    mask = np.empty(len(images), np.bool_)
    mask[order] = number_in_class(labels[order]) < sizes[order] // SHARE
    return mask


def by_digest(images: NDArray[np.uint8], key: bytes) -> list[int]:
    """The permutation that sorts the images by their BLAKE2b digests, keyed with ``key``."""
    digests = [hashlib.blake2b(image.tobytes(), key=key).digest() for image in images]
    return sorted(range(len(images)), key=digests.__getitem__)


def number_in_class(labels: NDArray[Any]) -> NDArray[np.int64]:
    """For each sample, the number of earlier samples of the same class."""
    same_class = labels[:, None] == np.unique(labels)
    numbers: NDArray[np.int64] = same_class.cumsum(axis=0)[same_class] - 1
    return numbers
