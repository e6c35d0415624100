"""Noise point of a model: its number, its name, and the layer that it follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Point:
    """A noise point and the layer that it follows.

    The layer is the innermost module that returned the tensor that arrives at the noise point, also if that was
    reshaped in between; None for the input and for results of other computations, as a sum of two layers. Its
    multiply-accumulates are those of its convolutions and matrix products, which includes linear layers and attention,
    but not torch's recurrent layers.
    """

    number: int  # in the order of the forward pass; 0 is the input of the model
    name: str  # in a plain ``nn.Sequential`` the name of the layer before it
    after_batch_norm: bool = False  # whether it follows a BatchNorm
    layer: str | None = None  # qualified name
    parameters: int = 0  # number of trained values of the layer
    multiply_accumulates: int = 0  # of the layer, for one sample
    residual_from: int | None = None
    """Of a sum of two activations: the last noise point before both of them, where the residual path begins."""
    reshaped: bool = False
    """Whether the values have another shape than at that point, for example behind a downsampling block."""

    def __str__(self) -> str:
        """Number and name, as in tables and figures: ``3 relu1``."""
        return f"{self.number} {self.name}"

    def to_document(self) -> dict[str, Any]:
        """The point as plain values, without its number, without zeros, and without a layer of the same name."""
        fields = {"params": self.parameters, "macs": self.multiply_accumulates, "batch_norm": self.after_batch_norm}
        layer = {} if self.layer == self.name else {"layer": self.layer}
        residual = {} if self.residual_from is None else {"residual_from": self.residual_from}
        fields["reshaped"] = self.reshaped
        return {"name": self.name, **layer, **residual, **{name: value for name, value in fields.items() if value}}


def points_behind_weights(points: Sequence[Point]) -> tuple[int, ...]:
    """The numbers of the points behind layers that multiply by weights; of several behind one layer, the first."""
    first: dict[str, int] = {}
    for point in points:
        if point.layer and point.parameters and point.multiply_accumulates:
            first.setdefault(point.layer, point.number)
    return tuple(first.values())


def points_of_document(entries: Sequence[Any] | None) -> tuple[Point, ...] | None:
    """The points of a stored result; None without a result, and for one of an earlier version, which has names only."""
    if not entries or any(isinstance(entry, str) for entry in entries):
        return None
    return tuple(_point(number, **entry) for number, entry in enumerate(entries))


def _point(
    number: int,
    name: str,
    params: int = 0,
    macs: int = 0,
    batch_norm: bool = False,
    residual_from: int | None = None,
    reshaped: bool = False,
    **layer: Any,
) -> Point:
    return Point(number, name, batch_norm, layer.get("layer", name), params, macs, residual_from, reshaped)
