"""Networks and data sets of a user's own, which tests name as ``tests.walking_noise.own_parts:NAME``."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torch.utils.data import Dataset, TensorDataset

from walking_noise import data
from walking_noise.data import own_data


def resnet18(inputs: tuple[int, ...], classes: int, batch_norm: bool) -> nn.Module:
    network: nn.Module = torchvision.models.resnet18(num_classes=classes)
    return network


class Residual(nn.Module):
    """Two linear layers with a residual path around them."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(features, 32), nn.Linear(32, classes)
        self.first, self.second = nn.Linear(32, 32), nn.Linear(32, 32)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem(x.flatten(1)))
        logits: Tensor = self.head(torch.relu(x + self.second(torch.relu(self.first(x)))))
        return logits


def residual(inputs: tuple[int, ...], classes: int, batch_norm: bool) -> nn.Module:
    return Residual(prod(inputs), classes)


class Rows(nn.Module):
    """A transformer block on the rows of an image."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.embed = nn.Linear(width, 16)
        self.encoder = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
        self.head = nn.Linear(16, classes)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.encoder(self.embed(x.transpose(1, 2).flatten(2)))
        logits: Tensor = self.head(tokens.mean(1))
        return logits


def transformer(inputs: tuple[int, ...], classes: int, batch_norm: bool) -> nn.Module:
    return Rows(inputs[0] * inputs[2], classes)


def with_dropout(inputs: tuple[int, ...], classes: int, batch_norm: bool) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(784, classes))


def no_module(inputs: tuple[int, ...], classes: int, batch_norm: bool) -> Any:
    return "a network"


class Digits(Dataset[Any]):
    """The first digits of each half of mnist5k, in three colours, as items."""

    def __init__(self, samples: Tensor, labels: Tensor, count: int) -> None:
        self.samples, self.labels = samples[:count, :, ::2, ::2].expand(-1, 3, -1, -1), labels[:count]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.samples[index], int(self.labels[index])


@own_data(shape=(3, 14, 14), classes=10)
def digits(validation: str) -> Any:
    held = data.load("mnist5k", validation=validation)
    return Digits(held.train_samples, held.train_labels, 60), Digits(
        held.validation_samples, held.validation_labels, 40
    )


@own_data(shape=(1, 32, 32), classes=10)
def large_digits(validation: str) -> Any:
    """The first 40 digits of each half of mnist5k, with a border."""
    held = data.load("mnist5k", validation=validation)
    halves = (held.train_samples, held.train_labels), (held.validation_samples, held.validation_labels)
    return tuple(TensorDataset(nn.functional.pad(x[:40].float(), [2] * 4) / 255, y[:40]) for x, y in halves)


@own_data(shape=(3, 14, 14), classes=5)
def too_few_classes(validation: str) -> Any:
    return digits(validation)


@own_data(shape=(1, 14, 14), classes=10)
def another_shape(validation: str) -> Any:
    return digits(validation)


@own_data(shape=(1, 14, 14), classes=10)
def failing(validation: str) -> Any:
    raise OSError("the disk\nis gone")


@own_data(shape=(1, 14, 14), classes=10)
def no_samples(validation: str) -> Any:
    nothing = TensorDataset(torch.zeros(0, 1, 14, 14), torch.zeros(0, dtype=torch.int64))
    return nothing, nothing


def failing_build(inputs: tuple[int, ...], classes: int, batch_norm: bool) -> nn.Module:
    raise KeyError("width")


def undecorated(validation: str) -> Any:
    return digits(validation)
