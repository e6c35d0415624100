"""IDX format, in which MNIST and similar data sets are published."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from walking_noise.data.data_files import Files
from walking_noise.data.images.published_images import Splits


def decode(content: bytes) -> NDArray[Any]:
    """The array in an IDX file of unsigned bytes: 0, 0, 8, the number of dimensions, their sizes, the values."""
    dimensions = content[3]
    sizes = np.frombuffer(content, ">u4", dimensions, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(sizes)


def decode_files(files: Files) -> Splits:
    """Both splits of a data set with the file names of MNIST."""

    def images(split: str) -> NDArray[np.uint8]:
        return decode(files.content(f"{split}-images-idx3-ubyte"))[:, None]

    def labels(split: str) -> NDArray[np.uint8]:
        return decode(files.content(f"{split}-labels-idx1-ubyte"))

    return Splits(images("train"), labels("train"), images("t10k"), labels("t10k"))
