"""Builders of fake studies of mixed noise."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

ORDERS = ("multiply_first", "add_first")


class Runs(Protocol):
    """Interface of a fake study that the builders use."""

    def complete(self, settings: dict[str, Any], accuracy: float, **fields: Any) -> Any: ...


def add_noise_free(study: Runs, accuracy: float = 0.96, seeds: Iterable[int] = range(3), **shared: Any) -> None:
    """Add runs without noise."""
    for seed in seeds:
        study.complete({**shared, "noise.kind": "none", "seed": seed}, accuracy + 0.002 * (seed - 1))


def add_both_levels(study: Runs, levels: Sequence[float], seeds: Iterable[int] = range(2), **shared: Any) -> None:
    """Add a grid of both levels in both orders; adding first loses 0.1 where both levels are above 1."""
    for order in ORDERS:
        for mul in levels:
            for add in levels:
                loss = 0.1 if order == "add_first" and min(mul, add) > 1 else 0.0
                noise = {"noise.kind": "mixed", "noise.std_mul": mul, "noise.std_add": add, "noise.order": order}
                for seed in seeds:
                    wobble = random.Random(f"{noise} {seed}").gauss(0, 0.004)
                    accuracy = 0.95 / (1 + 0.2 * mul + 0.3 * add) - loss + wobble
                    study.complete({**shared, **noise, "seed": seed}, accuracy)


def add_ratios(
    study: Runs, points: Iterable[int | str], ratios: Iterable[float], amplitude: float = 1e10,
    orders: Iterable[str] = ORDERS, seeds: Iterable[int] = range(3), **shared: Any,
) -> None:  # fmt: skip
    """Add maximum noise at some points. The accuracy is 0.9 under multiplicative, near chance under additive noise."""
    for point in points:
        for order in orders:
            for ratio in ratios:
                noise = {"noise.kind": "mixed", "noise.amplitude": amplitude, "noise.ratio": ratio}
                for seed in seeds:
                    accuracy = 0.9 - 0.78 * ratio + 0.004 * (seed - 1)
                    settings = {**shared, **noise, "noise.order": order, "noise.point": point, "seed": seed}
                    study.complete(settings, accuracy)
