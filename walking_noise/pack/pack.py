"""Many runs as one network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from walking_noise.models.noise_points import BODY, Inject, NoisePoint, named_layers
from walking_noise.pack.layers import MemberByMember, pack_layer
from walking_noise.pack.stacking import StackedState, all_finite, expand_rows, flat_name

WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
"""The layers whose weights are clamped and reported."""


class Pack(nn.Module):
    """K networks of the same shape as one: every parameter and buffer is ``(K, …)``.

    Parameters
    ----------
    members
        The plain networks with their noise points, as :meth:`walking_noise.RunConfig.initial_network` gives them.
    """

    def __init__(self, members: Sequence[nn.Sequential]) -> None:
        super().__init__()
        self.layers = nn.ModuleDict()
        self._weights: dict[str, tuple[str, str]] = {}
        for layers in zip(*map(named_layers, members), strict=True):
            name, first = layers[0]
            self.layers[name] = pack_layer([layer for _, layer in layers])
            for path, parameter in _weights(first):
                self._weights[".".join(part for part in (name, path) if part and part != BODY)] = name, parameter

    def forward(self, x: Tensor, inject: Inject, first: int = 0, last: int | None = None) -> Tensor:
        """From one noise point to another, or through the whole network.

        Parameters
        ----------
        x
            What arrives at noise point ``first``, ``(K, B, …)``; fewer rows where members share their samples.
        first, last
            Points at which the network can be split (:meth:`latest_split`); None: to the end.

        Returns
        -------
        Tensor
            What arrives at noise point ``last``, or the logits ``(K, B, classes)``.
        """
        places = self._splits
        inner = {first, first if last is None else last} - set(places)
        if inner:
            raise ValueError(f"the network cannot be split at noise point {min(inner)}, which stands inside a layer")
        for layer in list(self.layers.values())[places[first] : None if last is None else places[last]]:
            x = self._through(layer, x, inject)
        return x

    def latest_split(self, point: int) -> int:
        """The last noise point, up to this one, at which the network can be split: one that stands inside no layer."""
        return max(split_members for split_members in self._splits if split_members <= point)

    @property
    def _splits(self) -> dict[int, int]:
        """The noise points between layers, and where each stands."""
        layers = enumerate(self.layers.values())
        return {layer.point.number: place for place, layer in layers if isinstance(layer, NoisePoint)}

    def _through(self, layer: nn.Module, x: Tensor, inject: Inject) -> Tensor:
        if isinstance(layer, NoisePoint):
            return inject(layer.point.number, x)
        if isinstance(layer, MemberByMember) and layer.has_points:
            x = expand_rows(len(next(self.parameters())), x)
            inner: Tensor = layer(x, inject)
            return inner
        y: Tensor = layer(x)
        return y

    def stacked_state(self) -> StackedState:
        """Every parameter and buffer, ``(K, …)``, detached, under its dotted name."""
        return dict(self.state_dict())

    def weights(self) -> dict[str, nn.Parameter]:
        """The weights ``(K, …)`` of the conv and linear layers, by layer; no biases, no normalisation."""
        return {path: self.layers[layer].get_parameter(name) for path, (layer, name) in self._weights.items()}

    def finite(self) -> Tensor:
        """For each member whether all of its parameters are finite, ``(K,)``."""
        return all_finite([parameter.detach() for parameter in self.parameters()])

    def buffers_finite(self) -> Tensor:
        """For each member whether all of its buffers, such as BatchNorm's statistics, are finite, ``(K,)``."""
        buffers = [buffer for buffer in self.buffers() if buffer.is_floating_point()]
        return all_finite(buffers) if buffers else torch.ones_like(self.finite())

    def member_state(self, member: int) -> dict[str, Tensor]:
        """A copy of one member's parameters and buffers."""
        return {name: tensor[member].clone() for name, tensor in self.stacked_state().items()}

    @torch.no_grad()
    def load_member(self, member: int, state: dict[str, Tensor]) -> None:
        """Overwrite one member's parameters and buffers with what :meth:`member_state` gave."""
        for name, tensor in self.stacked_state().items():
            tensor[member].copy_(state[name])


def _weights(layer: nn.Module) -> Iterator[tuple[str, str]]:
    """The conv and linear layers in a layer, and what the weight of each is called in the packed one."""
    names = {parameter: flat_name(name) for name, parameter in layer.named_parameters()}
    for path, module in layer.named_modules():
        weight = dict(module.named_parameters(recurse=False)).get("weight")
        if isinstance(module, WEIGHTED) and weight is not None:
            yield path, names[weight]
