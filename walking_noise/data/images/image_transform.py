"""Transform of uint8 images: scaling, random crop and flip, normalisation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from walking_noise.data.transform import gather

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class ImageTransform:
    """Scaling to [0, 1], with an optional random crop and flip (training only) and an optional normalisation.

    An image of the original size is cropped at random from the image with a black border. ``mean`` and ``std`` of each
    channel are in units of the scaled image: ``(x - mean) / std``; empty: no normalisation.
    """

    crop_padding: int = 0  # width of the black border in pixels
    flip: bool = False  # whether images are mirrored left to right with probability 1/2
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    @property
    def augments(self) -> bool:
        """Whether training images are augmented at random."""
        return self.crop_padding > 0 or self.flip

    def draw(self, samples: int, generator: torch.Generator) -> Tensor:
        """Draw one augmentation for every sample of a training set.

        Returns
        -------
        Tensor
            uint8 (3, samples): the rows above the crop and the columns left of it in the padded image, each in
            0 … 2·padding, and whether the crop is mirrored, 0 or 1. All are uniform.
        """
        import torch

        def uniform(choices: int, count: int) -> Tensor:
            return torch.randint(choices, (count, samples), generator=generator, dtype=torch.uint8)

        return torch.cat([uniform(2 * self.crop_padding + 1, 2), uniform(1 + self.flip, 1)])

    def prepare(self, stored: Tensor) -> Tensor:
        """The images with the black border."""
        from torch.nn.functional import pad

        return pad(stored, (self.crop_padding,) * 4) if self.crop_padding else stored

    def training_inputs(self, prepared: Tensor, samples: Tensor, drawn: Tensor | None) -> Tensor:
        """The images with the given indices, augmented and normalised; see :class:`walking_noise.data.Transform`."""
        if drawn is None:
            return self.normalise(gather(prepared, samples))
        return self.normalise(augment(prepared, self.crop_padding, samples, drawn))

    def validation_inputs(self, stored: Tensor) -> Tensor:
        """The images (n, channels, height, width), normalised."""
        return self.normalise(stored)

    def normalise(self, images: Tensor) -> Tensor:
        """The inputs of the network, float32, from uint8 images (…, channels, height, width).

        The operations are those of torchvision's ``ToTensor`` and ``Normalize``, so the result is bitwise equal.
        """
        x = images.float().div_(255)
        if self.mean:
            x.sub_(_per_channel(self.mean, x.device)).div_(_per_channel(self.std, x.device))
        return x


@cache
def _per_channel(values: tuple[float, ...], device: torch.device) -> Tensor:
    import torch

    return torch.tensor(values, device=device).view(-1, 1, 1)


def augment(padded: Tensor, padding: int, samples: Tensor, drawn: Tensor) -> Tensor:
    """Gather samples of a padded training set, cropped and mirrored.

    A crop has the strides of its padded image and begins some rows and columns later. Therefore all crops are copied in
    one operation, each as a contiguous stretch from its first to its last pixel.

    Parameters
    ----------
    padded
        uint8 (n, channels, height + 2·padding, width + 2·padding), contiguous.
    padding
        Width of the border in pixels.
    samples
        int64 (runs, batch), indices into ``padded``.
    drawn
        uint8 (runs, 3, n): for each run the augmentations from :meth:`ImageTransform.draw`.

    Returns
    -------
    Tensor
        uint8 (runs, batch, channels, height, width).
    """
    import torch

    _, channels, rows, columns = padded.shape
    height, width = rows - 2 * padding, columns - 2 * padding
    top, left, mirrored = drawn.gather(2, samples.unsqueeze(1).expand(-1, 3, -1)).long().unbind(1)

    stretch = ((channels - 1) * rows + height - 1) * columns + width
    stretches = padded.as_strided((padded.numel() - stretch + 1, stretch), (1, 1))
    starts = samples * (channels * rows * columns) + top * columns + left
    crops = stretches.index_select(0, starts.flatten())
    crops = crops.as_strided((len(crops), channels, height, width), (stretch, rows * columns, columns, 1))

    both = torch.stack([crops, crops.flip(-1)]).flatten(0, 1)
    position = torch.arange(len(crops), device=crops.device).view_as(samples)
    return gather(both, mirrored * len(crops) + position)
