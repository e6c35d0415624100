"""Random crops and flips of images."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import pad
from torchvision.transforms import functional as vision

from walking_noise.data import ImageTransform
from walking_noise.data.images.image_transform import augment
from walking_noise.data.transform import gather

CIFAR10 = ImageTransform(4, True, (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))
FASHION = ImageTransform(4, True, (0.5,), (0.5,))


def random_images(*shape: int) -> Tensor:
    return torch.randint(256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def draws(transform: ImageTransform, samples: int, seed: int = 0) -> Tensor:
    return transform.draw(samples, torch.Generator().manual_seed(seed))


def black_border(images: Tensor, border: int) -> Tensor:
    return pad(images, (border,) * 4)


@pytest.mark.parametrize(
    ("transform", "shape"), [(CIFAR10, (60, 3, 32, 32)), (FASHION, (60, 1, 28, 28)), (FASHION, (60, 1, 5, 9))]
)
def test_inputs_equal_those_of_torchvision(transform: ImageTransform, shape: tuple[int, int, int, int]) -> None:
    """RandomCrop and RandomHorizontalFlip on PIL images, ToTensor, Normalize, with the same draws."""
    images, drawn = random_images(*shape), draws(transform, shape[0])
    samples = torch.randperm(shape[0], generator=torch.Generator().manual_seed(1))[None]
    padded = black_border(images, transform.crop_padding)
    inputs = transform.normalise(augment(padded, transform.crop_padding, samples, drawn[None]))[0]
    for sample, x in zip(samples[0].tolist(), inputs, strict=True):
        top, left, mirrored = drawn[:, sample].tolist()
        image = vision.pad(vision.to_pil_image(images[sample]), transform.crop_padding)
        image = vision.crop(image, top, left, *shape[2:])
        image = vision.hflip(image) if mirrored else image
        assert torch.equal(x, vision.normalize(vision.to_tensor(image), transform.mean, transform.std))


def test_scaling_divides_by_255() -> None:
    images = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    x = ImageTransform().normalise(images)
    assert torch.equal(x.flatten(), torch.arange(256) / 255)
    assert images.flatten().tolist() == list(range(256)), "the data set is not changed"


def test_every_crop_offset_and_mirror_is_drawn_equally_often() -> None:
    samples = 90_000
    drawn = draws(CIFAR10, samples).long()
    outcomes = (drawn[0] * 9 + drawn[1]) * 2 + drawn[2]
    counts = outcomes.bincount(minlength=162).double()
    expected = samples / 162
    chi_squared = float(((counts - expected) ** 2 / expected).sum())
    assert len(counts) == 162
    assert abs(chi_squared - 161) < 5 * (2 * 161) ** 0.5


@pytest.mark.parametrize(
    ("transform", "bounds"),
    [
        (CIFAR10, (8, 8, 1)),
        (ImageTransform(crop_padding=2), (4, 4, 0)),
        (ImageTransform(flip=True), (0, 0, 1)),
        (ImageTransform(), (0, 0, 0)),
    ],
)
def test_only_enabled_augmentations_are_drawn(transform: ImageTransform, bounds: tuple[int, int, int]) -> None:
    drawn = draws(transform, 2000)
    assert tuple(drawn.amax(dim=1).tolist()) == bounds
    assert drawn.amin(dim=1).tolist() == [0, 0, 0]
    assert transform.augments == any(bounds)


def test_crops_contain_the_first_and_last_pixels_of_the_padded_set() -> None:
    images = random_images(3, 2, 4, 4)
    corners = torch.tensor([[[0, 0, 4], [0, 0, 4], [0, 0, 0]]], dtype=torch.uint8)
    padded = black_border(images, 2)
    crops = augment(padded, 2, torch.tensor([[0, 2]]), corners)
    assert torch.equal(crops[0, 0], padded[0, :, :4, :4])
    assert torch.equal(crops[0, 1], padded[2, :, 4:, 4:])


def test_every_run_of_a_pack_has_its_own_draws() -> None:
    images = random_images(40, 3, 8, 8)
    padded = black_border(images, 4)
    drawn = torch.stack([draws(CIFAR10, 40, seed) for seed in range(3)])
    samples = torch.stack([torch.randperm(40, generator=torch.Generator().manual_seed(seed)) for seed in range(3)])
    together = augment(padded, 4, samples, drawn)
    alone = [augment(padded, 4, samples[run, None], drawn[run, None])[0] for run in range(3)]
    assert torch.equal(together, torch.stack(alone))


def test_gather_keeps_runs_and_batch_apart() -> None:
    images, samples = random_images(10, 1, 2, 3), torch.tensor([[3, 1, 4], [1, 5, 9]])
    assert torch.equal(gather(images, samples), images[samples])
