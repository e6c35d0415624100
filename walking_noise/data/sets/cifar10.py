"""CIFAR-10 (Krizhevsky 2009): photographs of ten classes, 50,000 for training and 10,000 for validation."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from walking_noise.data.data_files import Files
from walking_noise.data.images.image_transform import ImageTransform
from walking_noise.data.images.published_images import PublishedImages, Splits, torchvision_download

TRAINING = tuple(f"data_batch_{number}" for number in range(1, 6))
VALIDATION = ("test_batch",)


def _read_batches(files: Files, names: tuple[str, ...]) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    """The images and labels of several files, concatenated."""
    # A pickle can execute code; Files.content verifies the checksum before these are loaded.
    batches = [pickle.loads(files.content(name), encoding="latin1") for name in names]
    images = np.concatenate([batch["data"] for batch in batches]).reshape(-1, 3, 32, 32)
    return images, np.concatenate([batch["labels"] for batch in batches])


def decode(files: Files) -> Splits:
    """Both splits of the data set."""
    return Splits(*_read_batches(files, TRAINING), *_read_batches(files, VALIDATION))


DATA_SET = PublishedImages(
    name="cifar10",
    shape=(3, 32, 32),
    classes=10,
    transforms={
        "release": ImageTransform(4, flip=True, mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.2010)),
        "none": ImageTransform(),
    },
    sha256={
        "data_batch_1": "54636561a3ce25bd3e19253c6b0d8538147b0ae398331ac4a2d86c6d987368cd",
        "data_batch_2": "766b2cef9fbc745cf056b3152224f7cf77163b330ea9a15f9392beb8b89bc5a8",
        "data_batch_3": "0f00d98ebfb30b3ec0ad19f9756dc2630b89003e10525f5e148445e82aa6a1f9",
        "data_batch_4": "3f7bb240661948b8f4d53e36ec720d8306f5668bd0071dcb4e6c947f78e9682b",
        "data_batch_5": "d91802434d8376bbaeeadf58a737e3a1b12ac839077e931237e0dcd43adcb154",
        "test_batch": "f53d8d457504f7cff4ea9e021afcf0e0ad8e24a91f3fc42091b8adef61157831",
    },
    folders=("cifar-10-batches-py",),
    decode=decode,
    download=torchvision_download("CIFAR10"),
)
