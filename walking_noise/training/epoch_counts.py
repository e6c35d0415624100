"""Epoch counts of trainings: completed, resumed and saved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple


class Epochs(NamedTuple):
    """Epochs of one training, or the sum over many."""

    done: int = 0  # completed, including the resumed ones
    resumed: int = 0  # completed, and read from a checkpoint or from the cache of networks
    kept: int = 0  # completed, and saved in a checkpoint, in the cache of networks, or in results


@dataclass(frozen=True)
class EpochsDone:
    """Event: the current epoch counts of trainings, by network key. They replace earlier counts."""

    of: Mapping[str, Epochs]


class EpochCounter:
    """Epoch counts of the trainings of a pack, by network key; :meth:`report` passes all of them to ``on_report``."""

    def __init__(self, keys: Iterable[str], on_report: Callable[[EpochsDone], None]) -> None:
        self._epochs = dict.fromkeys(keys, Epochs())
        self._on_report = on_report

    def update(self, key: str, **epochs: int) -> None:
        """Set some fields of :class:`Epochs` of one training."""
        self._epochs[key] = self._epochs[key]._replace(**epochs)

    def report(self) -> None:
        """Report the counts of all trainings."""
        self._on_report(EpochsDone(dict(self._epochs)))
