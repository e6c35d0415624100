"""Consecutive layers of a pack: search for those that are computed together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from torch import nn


class Consecutive(Protocol):
    """Consecutive layers that are computed together."""

    @property
    def length(self) -> int:
        """Number of the layers."""


Found = TypeVar("Found", bound=Consecutive)


class Taker:
    """Reader of a sequence of layers, from its beginning; ``taken`` is the number of layers read."""

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        self._layers, self.taken = layers, 0

    def take(self, kind: type[nn.Module]) -> Any:
        """The next layer if it is of this kind, else None."""
        if self.taken == len(self._layers) or not isinstance(self._layers[self.taken], kind):
            return None
        self.taken += 1
        return self._layers[self.taken - 1]


def find_consecutive(
    layers: Sequence[nn.Module], at: Callable[[Sequence[nn.Module]], Found | None]
) -> dict[int, Found]:
    """What ``at`` finds at the beginning of the rest of the layers, by the position of the first; without overlap."""
    found: dict[int, Found] = {}
    position = 0
    while position < len(layers):
        here = at(layers[position:])
        if here is not None:
            found[position] = here
        position += 1 if here is None else here.length
    return found
