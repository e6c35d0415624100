"""What the tests of the library share: a few real digits, and torch on one thread."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import hypothesis
import pytest
import torch

from walking_noise import data
from walking_noise.data import DataSet

hypothesis.settings.register_profile("walking_noise", database=None, deadline=None, derandomize=True, max_examples=60)
hypothesis.settings.load_profile("walking_noise")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Equal to the last bit is promised for one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def float64() -> Iterator[None]:
    """Let networks and noise be made in double precision."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="session")
def digits() -> DataSet:
    """Real digits: 200 to train, which leave a shorter last batch, and 260 to validate, in two blocks."""
    whole = data.load("mnist5k")
    return dataclasses.replace(
        whole,
        train_images=whole.train_images[:200].clone(),
        train_labels=whole.train_labels[:200].clone(),
        validation_images=whole.validation_images[:260].clone(),
        validation_labels=whole.validation_labels[:260].clone(),
    )


@pytest.fixture
def only_digits(digits: DataSet, monkeypatch: pytest.MonkeyPatch) -> DataSet:
    """Let every run of this process train on the few digits."""
    monkeypatch.setattr(data, "load", lambda name, transform, root: digits)
    return digits
