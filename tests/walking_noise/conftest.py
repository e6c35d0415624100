"""Fixtures of the library's tests: a few real digits, and torch on one thread."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator

import hypothesis
import pytest
import torch
from hypothesis.configuration import set_hypothesis_home_dir

from tests.walking_noise.parts import add_file as add_file
from walking_noise import data
from walking_noise.data import DataSet

hypothesis.settings.register_profile("walking_noise", database=None, deadline=None, derandomize=True, max_examples=60)
hypothesis.settings.load_profile("walking_noise")


def pytest_configure(config: pytest.Config) -> None:
    """Let Hypothesis write its files to a temporary folder, outside of the checkout."""
    home = tempfile.TemporaryDirectory(prefix="walking-noise-hypothesis-", ignore_cleanup_errors=True)
    config.add_cleanup(home.cleanup)
    set_hypothesis_home_dir(home.name)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Use one thread, for which results are bitwise reproducible."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def float64() -> Iterator[None]:
    """Make float64 the default type, for networks and noise in double precision."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def part(data: DataSet, training: int, validation: int) -> DataSet:
    """The first samples of both sets of a data set."""
    return dataclasses.replace(
        data,
        train_samples=data.train_samples[:training].clone(),
        train_labels=data.train_labels[:training].clone(),
        validation_samples=data.validation_samples[:validation].clone(),
        validation_labels=data.validation_labels[:validation].clone(),
    )


@pytest.fixture(scope="session")
def digits() -> DataSet:
    """Real digits: 200 for training, so that the last batch is shorter, and 260 for validation, in two blocks."""
    return part(data.load("mnist5k"), 200, 260)


@pytest.fixture(scope="session")
def fewer_digits(digits: DataSet) -> DataSet:
    """Real digits for slow tests: 150 for training, in two batches, and 60 for validation."""
    return part(digits, 150, 60)


@pytest.fixture
def only_digits(digits: DataSet, monkeypatch: pytest.MonkeyPatch) -> DataSet:
    """Replace every data set in this process by the few digits."""
    monkeypatch.setattr(data, "load", lambda *selection, **settings: digits)
    return digits


@pytest.fixture
def only_fewer_digits(fewer_digits: DataSet, monkeypatch: pytest.MonkeyPatch) -> DataSet:
    """Replace every data set in this process by still fewer digits, which are validated in one block."""
    monkeypatch.setattr(data, "load", lambda *selection, **settings: fewer_digits)
    return fewer_digits
