"""Data sets as tensors in memory: files, loading, transforms, and mini-batches for many runs at once."""

from __future__ import annotations

from walking_noise.data.data_files import data_root
from walking_noise.data.dataset import DataSet
from walking_noise.data.images.image_transform import ImageTransform
from walking_noise.data.images.published_images import PublishedImages
from walking_noise.data.loading import fetch, load, source, sources, status
from walking_noise.data.own_data import own_data
from walking_noise.data.speech.keywords import KEYWORDS, NOT_KEYWORDS

__all__ = [
    "KEYWORDS",
    "NOT_KEYWORDS",
    "DataSet",
    "ImageTransform",
    "PublishedImages",
    "data_root",
    "fetch",
    "load",
    "own_data",
    "source",
    "sources",
    "status",
]
