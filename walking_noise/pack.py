"""Many runs as one network."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from walking_noise import data, models
from walking_noise.config import RunConfig
from walking_noise.layers import pack_layer
from walking_noise.points import NoisePoint
from walking_noise.seeds import key

_initialising = threading.Lock()

Inject = Callable[[int, Tensor], Tensor]
"""What happens at a noise point: ``inject(point number, activations (K, B, …))``."""


def initialised(config: RunConfig) -> nn.Sequential:
    """The run's network with torch's default initialisation, drawn from the run's seed."""
    source = data.sources()[config.data.name]
    with _initialising, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(key(config.seed, "initialisation"))
        return models.build(config.model.name, tuple(source.shape), source.classes, config.model.batch_norm)


class Pack(nn.Module):
    """K networks of the same shape as one: every parameter and buffer is ``(K, …)``.

    Parameters
    ----------
    members
        The plain networks with their noise points, as :func:`initialised` gives them.
    """

    def __init__(self, members: Sequence[nn.Sequential]) -> None:
        super().__init__()
        self.layers = nn.ModuleDict()
        for layers in zip(*(member.named_children() for member in members), strict=True):
            name, first = layers[0]
            self.layers[name] = pack_layer(first, [layer for _, layer in layers])

    def forward(self, x: Tensor, inject: Inject) -> Tensor:
        """Logits ``(K, B, classes)`` for inputs ``(K, B, channels, height, width)``."""
        for layer in self.layers.values():
            x = inject(layer.point.number, x) if isinstance(layer, NoisePoint) else layer(x)
        return x

    def stacked_state(self) -> dict[str, Tensor]:
        """Every parameter and buffer, ``(K, …)``, detached, under its dotted name."""
        return dict(self.state_dict())

    def forward_members(self, members: Sequence[int], x: Tensor, inject: Inject) -> Tensor:
        """Logits ``(len(members), B, classes)`` of chosen members, each as often as it is named."""
        chosen = torch.tensor(members, device=x.device)
        state = {name: tensor[chosen] for name, tensor in self.stacked_state().items()}
        logits: Tensor = functional_call(self, state, (x, inject))
        return logits

    def weights(self) -> dict[str, nn.Parameter]:
        """The weights ``(K, …)`` of the conv and linear layers, by layer; no biases, no BatchNorm."""
        named = {name: getattr(layer, "weight", None) for name, layer in self.layers.items()}
        return {name: weight for name, weight in named.items() if isinstance(weight, nn.Parameter) and weight.dim() > 2}

    def finite(self) -> Tensor:
        """For each member whether all of its parameters are finite, ``(K,)``."""
        sums = [parameter.detach().flatten(1).sum(1) for parameter in self.parameters()]
        return torch.stack(sums).isfinite().all(0)

    def member_state(self, member: int) -> dict[str, Tensor]:
        """A copy of one member's parameters and buffers."""
        return {name: tensor[member].clone() for name, tensor in self.stacked_state().items()}

    @torch.no_grad()
    def load_member(self, member: int, state: dict[str, Tensor]) -> None:
        """Overwrite one member's parameters and buffers with what :meth:`member_state` gave."""
        for name, tensor in self.stacked_state().items():
            tensor[member].copy_(state[name])
