"""Fixture of the tests of the peers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.benchmarks.peers import sample_data
from tests.benchmarks.peers.peer import ensemble


@pytest.fixture
def few_samples(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Use a few random images; the tests read no data sets."""
    monkeypatch.setattr(sample_data, "SAMPLES", {("mnist", "test"): (300, 250), ("cifar10", "test"): (300, 250)})
    caches = sample_data.samples, ensemble
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()
