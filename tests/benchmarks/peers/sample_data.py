"""Training data of the benchmark: the published data set if it is present, else random images of its shape."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from experiments.plan.run_counts import SAMPLES
from walking_noise import data
from walking_noise.data import DataSet, ImageTransform, PublishedImages

Loader = DataLoader[Any]
RANDOM = "random"


@cache
def samples(name: str) -> DataSet:
    """A data set in memory; random images have the name :data:`RANDOM`."""
    return data.load(name) if data.status(name).present else random_images(name, *SAMPLES[name, "test"])


def random_images(name: str, training: int, validation: int) -> DataSet:
    """Uniformly random images and labels in the form of a published data set."""
    source = data.sources()[name]
    assert isinstance(source, PublishedImages)
    generator = torch.Generator().manual_seed(0)

    def images(number: int) -> Tensor:
        return torch.randint(256, (number, *source.shape), dtype=torch.uint8, generator=generator)

    def labels(number: int) -> Tensor:
        return torch.randint(source.classes, (number,), generator=generator)

    transform = source.transforms["release"]
    return DataSet(
        RANDOM,
        source.classes,
        transform,
        images(training),
        labels(training),
        images(validation),
        labels(validation),
        "",
    )


def usual_loader(name: str, images: DataSet, batch_size: int, workers: int, pinned: bool) -> Loader:
    """The training set as in a usual training script: torchvision's data set and transforms in a shuffled DataLoader.

    Yields inputs (batch, channels, height, width) and labels (batch,).
    """
    return DataLoader(
        _torchvision_set(name, images),
        batch_size,
        shuffle=True,
        num_workers=workers,
        pin_memory=pinned,
        persistent_workers=workers > 0,
    )


def _torchvision_set(name: str, images: DataSet) -> Any:
    """A data set of torchvision's own class that holds these samples, so that no files are needed."""
    from torchvision import datasets, transforms
    from torchvision.datasets import VisionDataset

    assert isinstance(images.transform, ImageTransform)
    steps: list[Any] = []
    if images.transform.augments:
        crop = transforms.RandomCrop(images.train_samples.shape[-2:], padding=images.transform.crop_padding)
        steps += [crop, transforms.RandomHorizontalFlip()]
    steps.append(transforms.ToTensor())
    if images.transform.mean:
        steps.append(transforms.Normalize(images.transform.mean, images.transform.std))
    kind = {"mnist": datasets.MNIST, "cifar10": datasets.CIFAR10}[name]
    dataset = object.__new__(kind)
    VisionDataset.__init__(dataset, root="", transform=transforms.Compose(steps))
    if kind is datasets.MNIST:
        dataset.data, dataset.targets = images.train_samples.squeeze(1), images.train_labels
    else:
        dataset.data = images.train_samples.movedim(1, -1).contiguous().numpy()
        dataset.targets = images.train_labels.tolist()
    return dataset
