"""SVHN (Netzer et al. 2011), cropped digits of house numbers: 73,257 for training and 26,032 for validation."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from walking_noise.data.data_files import Files
from walking_noise.data.images.published_images import PublishedImages, Splits, torchvision_download
from walking_noise.data.sets import cifar10

TRAINING, TEST = "train_32x32.mat", "test_32x32.mat"
ZERO = 10
"""The label of the digit 0 in the files."""


def _decode_split(content: bytes) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    """The images (samples, channels, height, width) and labels of one file."""
    from scipy.io import loadmat

    arrays: dict[str, NDArray[Any]] = loadmat(io.BytesIO(content))  # type: ignore[arg-type]  # SciPy accepts files, too
    images = np.ascontiguousarray(arrays["X"].transpose(3, 2, 0, 1))
    return images, arrays["y"].reshape(-1) % ZERO


def decode(files: Files) -> Splits:
    """Both splits; in the files, images are (height, width, channels, samples)."""
    return Splits(*_decode_split(files.content(TRAINING)), *_decode_split(files.content(TEST)))


def download(root: Path) -> None:
    """Download both files into ``root`` with torchvision."""
    for split in ("train", "test"):
        torchvision_download("SVHN", split=split)(root)


DATA_SET = PublishedImages(
    name="svhn",
    shape=(3, 32, 32),
    classes=10,
    transforms=cifar10.DATA_SET.transforms,
    sha256={
        TRAINING: "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8",
        TEST: "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b",
    },
    folders=(".",),
    decode=decode,
    download=download,
)
