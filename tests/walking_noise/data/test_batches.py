"""Mini-batches of packs, and blocks of the validation set."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from walking_noise import data
from walking_noise.data import DataSet, ImageTransform
from walking_noise.data.batches import TrainingBatches, validation_blocks
from walking_noise.reproducibility import stream_generator

AUGMENTED = ImageTransform(crop_padding=4, flip=True, mean=(0.5,), std=(0.25,))


def digits(transform: ImageTransform = AUGMENTED, samples: int = 500) -> DataSet:
    """Real digits with a given number of training samples."""
    whole = data.load("mnist5k")
    return dataclasses.replace(
        whole,
        transform=transform,
        train_samples=whole.train_samples[:samples],
        train_labels=whole.train_labels[:samples],
    )


def numbered(samples: int) -> DataSet:
    """Images of two pixels that encode the number of the sample, which is also its label."""
    numbers = torch.arange(samples)
    images = torch.stack([numbers // 256, numbers % 256], dim=-1).to(torch.uint8).view(-1, 1, 1, 2)
    return DataSet("numbered", samples, ImageTransform(), images, numbers, images, numbers, "")


def numbers_in(x: Tensor) -> Tensor:
    high, low = (x * 255).round().long().flatten(2).unbind(2)
    return high * 256 + low


def whole_epoch(batches: TrainingBatches, epoch: int) -> tuple[Tensor, Tensor]:
    x, y = zip(*batches.epoch(epoch), strict=True)
    return torch.cat(x, dim=1), torch.cat(y, dim=1)


def test_an_epoch_contains_every_sample_once_with_its_label() -> None:
    x, y = whole_epoch(TrainingBatches(numbered(1000), [3, 4], 128), 5)
    assert torch.equal(numbers_in(x), y)
    assert torch.equal(y.sort(dim=1).values, torch.arange(1000).expand(2, -1))


def test_orders_differ_between_epochs_and_seeds() -> None:
    batches = TrainingBatches(numbered(1000), [3, 4], 128)
    orders = torch.cat([whole_epoch(batches, epoch)[1] for epoch in range(4)])
    agreement = (orders[:, None] == orders[None]).double().mean(dim=2)
    assert float((agreement - torch.eye(8)).max()) < 0.02


@pytest.mark.parametrize(("samples", "batch_size", "sizes"), [(300, 128, [128, 128, 44]), (256, 128, [128, 128])])
def test_the_last_shorter_batch_is_kept(samples: int, batch_size: int, sizes: list[int]) -> None:
    batches = TrainingBatches(digits(samples=samples), [1, 2, 3], batch_size)
    assert batches.steps == len(sizes)
    shapes = [(tuple(x.shape), tuple(y.shape)) for x, y in batches.epoch(0)]
    assert shapes == [((3, size, 1, 28, 28), (3, size)) for size in sizes]


def test_inputs_are_float32_and_labels_int64() -> None:
    x, y = next(TrainingBatches(digits(), [1], 128).epoch(0))
    assert (x.dtype, y.dtype) == (torch.float32, torch.int64)
    assert x.is_contiguous()


@pytest.mark.parametrize("transform", [ImageTransform(), AUGMENTED])
def test_the_inputs_of_a_run_are_equal_in_every_pack(transform: ImageTransform) -> None:
    some = digits(transform)
    for pack in ([7], [1, 7, 3], [7, 1], list(range(10)), [7, 7, 2]):
        together = TrainingBatches(some, pack, 64)
        for epoch in (0, 9):
            packed_x, packed_y = whole_epoch(together, epoch)
            alone_x, alone_y = whole_epoch(TrainingBatches(some, [7], 64), epoch)
            run = pack.index(7)
            assert torch.equal(packed_x[run], alone_x[0])
            assert torch.equal(packed_y[run], alone_y[0])


@pytest.mark.parametrize(
    ("seeds", "rows"),
    [([5], [5]), ([5, 5, 5], [5]), ([5, 5, 2, 2], [5, 2]), ([5, 2, 5, 2], [5, 2, 5, 2]), ([5, 5, 2], [5, 5, 2])],
)
def test_consecutive_runs_with_equal_seeds_share_a_row(seeds: list[int], rows: list[int]) -> None:
    x, y = next(TrainingBatches(digits(), seeds, 64).epoch(0))
    assert [len(x), len(y)] == [len(rows), len(seeds)]
    for row, seed in zip(x, rows, strict=True):
        assert torch.equal(row, next(TrainingBatches(digits(), [seed], 64).epoch(0))[0][0])
    x[0].zero_()
    assert all(float(row.abs().sum()) > 0 for row in x[1:]), "rows have memory of their own"


def test_order_and_augmentation_are_the_streams_of_the_seed_and_epoch() -> None:
    some = dataclasses.replace(numbered(256), transform=ImageTransform(flip=True))
    x, y = whole_epoch(TrainingBatches(some, [1], 100), 3)
    assert torch.equal(y[0], torch.randperm(256, generator=stream_generator(1, "order", 3)))
    mirrored = numbers_in(x)[0][y[0].argsort()] != torch.arange(256)
    drawn = some.transform.draw(256, stream_generator(1, "augmentation", 3))[2].bool()
    assert torch.equal(mirrored[1:], drawn[1:]), "the draws are numbered by sample; sample 0 is its own mirror image"


def test_the_batch_size_changes_nothing_but_the_batches() -> None:
    some = digits()
    assert torch.equal(
        whole_epoch(TrainingBatches(some, [1], 64), 3)[0], whole_epoch(TrainingBatches(some, [1], 100), 3)[0]
    )


def test_the_augmentation_is_drawn_in_every_epoch() -> None:
    some = dataclasses.replace(numbered(400), transform=ImageTransform(flip=True))
    labels, mirrored = [], []
    for epoch in (0, 1):
        x, y = whole_epoch(TrainingBatches(some, [1], 128), epoch)
        order = y[0].argsort()
        labels.append(y[0][order])
        mirrored.append(numbers_in(x)[0][order] != labels[-1])
    assert torch.equal(labels[0], labels[1])
    changed = float((mirrored[0] != mirrored[1]).double().mean())
    assert abs(changed - 0.5) < 5 * 0.5 / 400**0.5


def test_the_training_set_is_not_changed() -> None:
    some = digits()
    before = some.train_samples.clone()
    for x, _ in TrainingBatches(some, [1, 2], 128).epoch(0):
        x.add_(1)
    for _, x, _ in validation_blocks(some, 300):
        x.add_(1)
    assert torch.equal(some.train_samples, before)
    assert some.checksum == data.load("mnist5k").checksum


@pytest.mark.parametrize("block", [1000, 300, 1])
def test_validation_blocks_are_the_whole_set_in_order_without_augmentation(block: int) -> None:
    some = digits()
    starts, x, y = zip(*validation_blocks(some, block), strict=True)
    assert list(starts) == list(range(0, 1000, block))
    assert torch.equal(torch.cat(y), some.validation_labels)
    assert torch.equal(torch.cat(x), (some.validation_samples.float() / 255 - 0.5) / 0.25)


@pytest.mark.gpu
@pytest.mark.parametrize("transform", [ImageTransform(), AUGMENTED])
def test_inputs_on_a_gpu_equal_those_on_a_cpu(transform: ImageTransform) -> None:
    some = digits(transform)
    x, y = whole_epoch(TrainingBatches(some, [1, 2, 2], 64), 1)
    gpu_x, gpu_y = whole_epoch(TrainingBatches(some.to("cuda"), [1, 2, 2], 64), 1)
    assert gpu_x.device.type == "cuda"
    torch.testing.assert_close(gpu_x.cpu(), x, rtol=1e-6, atol=1e-6)
    assert torch.equal(gpu_y.cpu(), y)
    assert some.to("cuda") is some.to("cuda:0")
