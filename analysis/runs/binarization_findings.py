"""What ``walking-noise binarize`` found inside a run's network and its noise-free twin."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Found = dict[str, Any]
"""Findings as they stand in a document; see :class:`walking_noise.probes.Findings`."""
Array = NDArray[np.float64]

COLUMNS = ("network", "place", "values", "quantity", "low", "high", "number")

_SPLIT = ("threshold", "negative", "positive", "peak", "depth", "count")


class Pair(NamedTuple):
    """The same findings of both networks of a run."""

    noise_free: Found
    noisy: Found

    def at(self, *path: str | int) -> Pair:
        """What lies further in, in both."""
        noise_free, noisy = self
        for step in path:
            noise_free, noisy = noise_free[step], noisy[step]  # type: ignore[index]
        return Pair(noise_free, noisy)


def density(values: Found, histogram: Found) -> tuple[Array, Array]:
    """A histogram of ``values`` as edges ``(bins + 1,)`` and a density ``(bins,)`` over all of the values."""
    counts = np.array(histogram["counts"], dtype=float)
    edges = np.linspace(histogram["low"], histogram["high"], len(counts) + 1)
    return edges, counts / (values["distribution"]["size"] * (edges[1] - edges[0]))


def table(networks: Pair) -> pd.DataFrame:
    """All findings as numbers, a row each, with columns :data:`COLUMNS`.

    A ``density`` is that between ``low`` and ``high``, of a value or of the log10 of its magnitude.
    """
    rows = [
        (network, place, side, *row)
        for network, found in networks._asdict().items()
        for place, side, values in _places(found)
        for row in _rows(values)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _places(found: Found) -> Iterator[tuple[str, str, Found]]:
    for point in found["points"]:
        yield point["name"], "arriving", point["arriving"]
        if point["leaving"] is not None:
            yield point["name"], "leaving", point["leaving"]
    for layer in found["layers"]:
        yield layer["layer"], "weights", layer["weights"]


def _rows(values: Found) -> Iterator[tuple[str, float | None, float | None, float]]:
    spread, split = values["distribution"], values["clusters"]
    for name in ("size", "zeros", "nonfinite"):
        yield name, None, None, spread[name]
    for name in _SPLIT:
        yield name, None, None, split[name]
    for name, share in zip(("negative", "zero", "positive"), split["shares"], strict=True):
        yield f"share {name}", None, None, share
    for noise in ("noise_on", "noise_off"):
        if values[noise] is not None:
            yield f"accuracy quantised, {noise.replace('_', ' ')}", None, None, values[noise]
    for name in ("linear", "negative", "positive"):
        if spread[name] is not None:
            edges, heights = density(values, spread[name])
            of = "density" if name == "linear" else f"density of log10, {name}"
            for low, high, height in zip(edges, edges[1:], heights, strict=False):
                yield of, float(low), float(high), float(height)
