"""What is done to an image between the data set and the network."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor


@dataclass(frozen=True)
class Transform:
    """Scaling to [0, 1] and, where asked for, a random crop and flip (training only) and a normalisation.

    Attributes
    ----------
    crop_padding
        Pixels of black border on every side, out of which an image of the original size is cropped at random.
    flip
        Whether every second image, by chance, is mirrored left to right.
    mean, std
        Per channel, in units of the scaled image: ``(x - mean) / std``. Empty: no normalisation.
    """

    crop_padding: int = 0
    flip: bool = False
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    @property
    def augments(self) -> bool:
        """Whether training images are changed by chance."""
        return self.crop_padding > 0 or self.flip

    def normalise(self, images: Tensor) -> Tensor:
        """The network's input, float32, of uint8 images (…, channels, height, width).

        Step by step as torchvision's ``ToTensor`` and ``Normalize``, and so the same to the last bit.
        """
        x = images.to(torch.float32).div_(255)
        if self.mean:
            x.sub_(_per_channel(self.mean, x.device)).div_(_per_channel(self.std, x.device))
        return x


@cache
def _per_channel(values: tuple[float, ...], device: torch.device) -> Tensor:
    return torch.tensor(values, device=device).view(-1, 1, 1)
