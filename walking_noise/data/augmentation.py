"""Images gathered into mini-batches, with random crops and flips that are drawn for a whole epoch."""

from __future__ import annotations

import torch
from torch import Tensor

from walking_noise.data.transform import Transform


def draw(transform: Transform, samples: int, generator: torch.Generator) -> Tensor:
    """One augmentation for every sample of a training set.

    Returns
    -------
    Tensor
        uint8 (3, samples): rows above and columns left of the crop in the padded image, each 0 … 2·padding,
        and whether the crop is mirrored, 0 or 1; all uniform.
    """

    def uniform(choices: int, count: int) -> Tensor:
        return torch.randint(choices, (count, samples), generator=generator, dtype=torch.uint8)

    return torch.cat([uniform(2 * transform.crop_padding + 1, 2), uniform(1 + transform.flip, 1)])


def gather(images: Tensor, samples: Tensor) -> Tensor:
    """Images (n, …) of chosen samples (runs, batch), as (runs, batch, …)."""
    return images.index_select(0, samples.flatten()).view(*samples.shape, *images.shape[1:])


def augment(padded: Tensor, padding: int, samples: Tensor, drawn: Tensor) -> Tensor:
    """Gather chosen samples of a padded training set, cropped and mirrored.

    A crop lies in memory like its padded image, only some rows and columns later. So all crops are copied at
    once, each as one contiguous stretch from its first to its last pixel.

    Parameters
    ----------
    padded
        uint8 (n, channels, height + 2·padding, width + 2·padding), contiguous.
    samples
        int64 (runs, batch), indices into ``padded``.
    drawn
        uint8 (runs, 3, n): per run what :func:`draw` returns.

    Returns
    -------
    Tensor
        uint8 (runs, batch, channels, height, width).
    """
    _, channels, rows, columns = padded.shape
    height, width = rows - 2 * padding, columns - 2 * padding
    top, left, mirrored = drawn.gather(2, samples.unsqueeze(1).expand(-1, 3, -1)).long().unbind(1)

    stretch = ((channels - 1) * rows + height - 1) * columns + width
    stretches = padded.as_strided((padded.numel() - stretch + 1, stretch), (1, 1))
    starts = samples * (channels * rows * columns) + top * columns + left
    crops = stretches.index_select(0, starts.flatten())
    crops = crops.as_strided((len(crops), channels, height, width), (stretch, rows * columns, columns, 1))

    either = torch.stack([crops, crops.flip(-1)]).flatten(0, 1)
    position = torch.arange(len(crops), device=crops.device).view_as(samples)
    return gather(either, mirrored * len(crops) + position)
