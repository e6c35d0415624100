"""Pack: many runs as one network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from walking_noise.models.noise_points import BODY, Inject, NoisePoint, named_layers, path_in_model
from walking_noise.pack.layers import (
    MemberByMember,
    PackedConv2d,
    PackedGraph,
    PackedLinear,
    SampleBySample,
    pack_layer,
)
from walking_noise.pack.layers.forward import forward_layers
from walking_noise.pack.stacking import StackedState, all_finite, flat_name

WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
"""Types of layers with weights that are clamped and reported."""


class Pack(nn.Module):
    """K networks of the same shape as one network: every parameter and buffer is ``(K, …)``.

    ``members`` are plain networks with noise points, from :meth:`walking_noise.RunConfig.initial_network`.
    """

    def __init__(self, members: Sequence[nn.Sequential]) -> None:
        super().__init__()
        self.layers = nn.ModuleDict()
        self._weights: dict[str, tuple[str, str]] = {}
        self._names: dict[str, str] = {}
        for layers in zip(*map(named_layers, members), strict=True):
            name, first = layers[0]
            self.layers[name] = pack_layer([layer for _, layer in layers])
            weighted = {path for path, module in first.named_modules() if isinstance(module, WEIGHTED)}
            for plain, packed in packed_names(first, self.layers[name]):
                path, _, parameter = plain.rpartition(".")
                found = (path_in_model(name), *path.split("."))
                in_model = ".".join(part for part in found if part and part != BODY)
                self._names[f"{in_model}.{parameter}"] = f"layers.{name}.{packed}"
                if parameter == "weight" and path in weighted:
                    self._weights[in_model] = name, packed

    def forward(self, x: Tensor, inject: Inject, first: int = 0, last: int | None = None) -> Tensor:
        """The forward pass of all members, or of the section from one noise point to another.

        Parameters
        ----------
        x
            Input of noise point ``first``, ``(K, B, …)``; fewer rows if members share their samples.
        inject
            Injection at the noise points.
        first, last
            Noise points at which the network can be split (:meth:`latest_split`), else ValueError is raised. ``last``
            None: to the end.

        Returns
        -------
        Tensor
            Input of noise point ``last``, or the logits ``(K, B, classes)``.
        """
        positions = self._split_positions
        inner = {first, first if last is None else last} - set(positions)
        if inner:
            raise ValueError(f"the network cannot be split at noise point {min(inner)}; it is not between two layers")
        section = list(self.layers.values())[positions[first] : None if last is None else positions[last]]
        return forward_layers(section, x, inject, len(next(self.parameters())))

    def latest_split(self, point: int) -> int:
        """The last noise point, up to ``point``, at which the network can be split: one between two layers."""
        return max(split for split in self._split_positions if split <= point)

    def layers_to_product(self, point: int) -> list[nn.Module]:
        """The layers from a noise point to the next, if they are one linear layer or convolution, else none.

        The values before it may be flattened.
        """
        positions = self._split_positions
        if not positions.keys() >= {point, point + 1}:
            return []
        between = list(self.layers.values())[positions[point] + 1 : positions[point + 1]]
        if not between:
            return []
        *before, last = between
        flattens = all(isinstance(layer, SampleBySample) and isinstance(layer.layer, nn.Flatten) for layer in before)
        return between if flattens and isinstance(last, PackedConv2d | PackedLinear) else []

    @property
    def _split_positions(self) -> dict[int, int]:
        """The position in :attr:`layers` of each noise point that is a layer itself, by number of the noise point."""
        layers = enumerate(self.layers.values())
        return {layer.point.number: position for position, layer in layers if isinstance(layer, NoisePoint)}

    def member_by_member(self) -> list[str]:
        """Paths of modules, and names of functions, without a packed form: one member is computed after the other.

        ``the whole network`` if it could not be split into layers.
        """
        found: list[str] = []
        for name, layer in self.layers.items():
            if isinstance(layer, PackedGraph):
                found += layer.member_by_member
            elif isinstance(layer, MemberByMember):
                found.append(path_in_model(name) or "the whole network")
        return list(dict.fromkeys(found))

    def stacked_state(self) -> StackedState:
        """Every parameter and buffer, ``(K, …)``, detached, by its dotted name."""
        return dict(self.state_dict())

    def weights(self) -> dict[str, nn.Parameter]:
        """The weights ``(K, …)`` of the conv and linear layers, by layer, without biases and normalisation layers."""
        return {path: self.layers[layer].get_parameter(name) for path, (layer, name) in self._weights.items()}

    def weight_names(self, layer: str) -> list[str]:
        """The names of the weights in a layer of the model, parameters of two dimensions or more, in the pack.

        ``layer`` is the path of a module of the model, which may contain other modules.
        """
        named = dict(self.named_parameters())
        within = [name for path, name in self._names.items() if path.startswith(f"{layer}.")]
        return [name for name in within if name in named and named[name].dim() > 2]

    def finite(self) -> Tensor:
        """Whether all parameters of a member are finite, ``(K,)`` bool."""
        return all_finite([parameter.detach() for parameter in self.parameters()])

    def buffers_finite(self) -> Tensor:
        """Whether all buffers of a member, for example BatchNorm statistics, are finite, ``(K,)`` bool."""
        buffers = [buffer for buffer in self.buffers() if buffer.is_floating_point()]
        return all_finite(buffers) if buffers else torch.ones_like(self.finite())


def cross_entropy(logits: Tensor, labels: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """Each run's mean cross-entropy ``(K,)`` of logits ``(K, B, classes)`` and labels ``(K, B)``.

    With ``class_weights`` ``(classes,)``, each sample is weighted by the weight of its class.
    """
    losses = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), class_weights, reduction="none").view(labels.shape)
    return losses.mean(1) if class_weights is None else losses.sum(1) / class_weights[labels].sum(1)


def packed_names(layer: nn.Module, packed: nn.Module) -> Iterator[tuple[str, str]]:
    """The name of each parameter and buffer in a plain layer, with its name in the packed layer."""
    if isinstance(packed, PackedGraph):
        yield from packed.stacked.items()
        for path, (key, part) in packed.parts.items():
            for name, within in packed_names(layer.get_submodule(path), part):
                yield f"{path}.{name}", f"{key}.{within}"
        return
    stacks = packed.state_dict()
    names = (name for name, _ in (*layer.named_parameters(), *layer.named_buffers()))
    yield from ((name, flat_name(name)) for name in names if flat_name(name) in stacks)
