"""Findings of ``walking-noise binarize`` in a run's network and in the same network trained without noise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Findings = dict[str, Any]
"""Findings in the form stored in a document; see :class:`walking_noise.probes.Findings`."""
Array = NDArray[np.float64]

COLUMNS = ("network", "place", "values", "quantity", "low", "high", "number")

_SPLIT = ("threshold", "negative", "positive", "peak", "depth", "count")


class NetworkPair(NamedTuple):
    """The same findings for both networks of a run."""

    noise_free: Findings
    noisy: Findings

    def at(self, *path: str | int) -> NetworkPair:
        """The values at ``path``, a sequence of keys and indexes, in both networks."""
        noise_free, noisy = self
        for key in path:
            noise_free, noisy = noise_free[key], noisy[key]  # type: ignore[index]
        return NetworkPair(noise_free, noisy)


def density(values: Findings, histogram: Findings) -> tuple[Array, Array]:
    """Edges ``(bins + 1,)`` and density ``(bins,)`` of a histogram, normalised by the number of all values."""
    counts = np.array(histogram["counts"], dtype=float)
    edges = np.linspace(histogram["low"], histogram["high"], len(counts) + 1)
    return edges, counts / (values["distribution"]["size"] * (edges[1] - edges[0]))


def findings_table(networks: NetworkPair) -> pd.DataFrame:
    """All findings as numbers, one per row, with the columns :data:`COLUMNS`.

    A ``density`` is the density between ``low`` and ``high`` of a value, or of the log10 of its magnitude.
    """
    rows = [
        (network, place, side, *row)
        for network, findings in networks._asdict().items()
        for place, side, values in _places(findings)
        for row in _rows(values)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _places(findings: Findings) -> Iterator[tuple[str, str, Findings]]:
    for point in findings["points"]:
        yield point["name"], "arriving", point["arriving"]
        if point["leaving"] is not None:
            yield point["name"], "leaving", point["leaving"]
    for layer in findings["layers"]:
        yield layer["layer"], "weights", layer["weights"]


def _rows(values: Findings) -> Iterator[tuple[str, float | None, float | None, float]]:
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
            quantity = "density" if name == "linear" else f"density of log10, {name}"
            for low, high, height in zip(edges, edges[1:], heights, strict=False):
                yield quantity, float(low), float(high), float(height)
