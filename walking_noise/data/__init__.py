"""Data sets as tensors in memory: where they lie, how they are read, mini-batches for many runs at once."""

from __future__ import annotations

from walking_noise.data.batches import TrainingBatches, validation_blocks
from walking_noise.data.dataset import DataSet
from walking_noise.data.files import data_root
from walking_noise.data.source import Source, Splits
from walking_noise.data.store import Status, fetch, load, sources, status
from walking_noise.data.transform import Transform

__all__ = [
    "DataSet",
    "Source",
    "Splits",
    "Status",
    "TrainingBatches",
    "Transform",
    "data_root",
    "fetch",
    "load",
    "sources",
    "status",
    "validation_blocks",
]
