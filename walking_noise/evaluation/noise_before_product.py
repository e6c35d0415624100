"""Noise in front of a linear layer or convolution: W(x + s·e) = Wx + s·We, so runs at all levels share the products.

Only inference-only runs are computed so, at their first noisy point, where x is free of noise: those with the same
network and seed differ by the level s alone. Multiplicative noise is the case W(x·(1 + s·e)) = Wx + s·W(x·e).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from walking_noise.config.run_config import RunConfig
from walking_noise.noise.injection import NoiseSampler, noise_by_point, samplers
from walking_noise.noise.member_noise import MemberNoise, StepIndex
from walking_noise.pack.pack import Pack
from walking_noise.pack.select_members import select_members
from walking_noise.pack.stacking import expand_rows


def passes_through_product(pack: Pack, config: RunConfig) -> bool:
    """Whether the noise of a run is computed as :class:`NoiseBeforeProduct` at its first noisy point.

    It depends on the run alone, not on the runs that are evaluated with it.
    """
    point, noise = config.first_noisy_point, config.noise
    if point is None or not config.shares_network or config.noise_kind.transform or not pack.layers_to_product(point):
        return False
    if noise.target == "weights" or noise.unit != "absolute" or config.evaluation.recalibrate:
        return False
    return config.noise.order != "add_first" or 0 in config.levels[point][:2]


@dataclass(frozen=True)
class UnitProducts:
    """Outputs of a product ``(sources, B, …)``: for the values, and without bias for the noise terms at level 1.

    A noise term that no source has is None.
    """

    of_values: Tensor
    of_factor: Tensor | None
    of_added: Tensor | None


class NoiseBeforeProduct:
    """The layers from a noise point through the product behind it, for runs whose noise begins at this point.

    Runs with the same member of the pack and the same draws form a source. The products of the values and of the noise
    at level 1 are computed once for each source.

    Attributes
    ----------
    members
        The member of each source.
    """

    def __init__(self, pack: Pack, runs: Mapping[int, tuple[int, RunConfig]], point: int) -> None:
        """``runs`` gives the member and the settings of each run, by its index."""
        self._point = point
        noises = noise_by_point([config for _, config in runs.values()], "inference")[point]
        self._noises = dict(zip(runs, noises, strict=True))
        keys = {run: (member, _at_level_1(self._noises[run])) for run, (member, _) in runs.items()}
        sources = list(dict.fromkeys(keys.values()))
        self._source_of = {run: sources.index(key) for run, key in keys.items()}
        self.members = [member for member, _ in sources]
        layers = [select_members(layer, self.members) for layer in pack.layers_to_product(point)]
        self._layers, self._without_bias = (
            nn.Sequential(*layers),
            nn.Sequential(*layers[:-1], _without_bias(layers[-1])),
        )
        units = [replace(unit, member=source) for source, (_, unit) in enumerate(sources)]
        device = next(pack.parameters()).device
        self._factor = _samplers([replace(one, add=0.0) for one in units if one.mul > 0], point, len(sources), device)
        self._added = _samplers([one for one in units if one.add > 0], point, len(sources), device)

    def products(self, x: Tensor, step: StepIndex) -> UnitProducts:
        """The products for the input ``(sources, B, …)`` of the noise point, or ``(1, B, …)`` for all sources."""
        x = expand_rows(len(self.members), x).contiguous()
        of_factor = of_added = None
        if self._factor:
            of_factor = self._without_bias(self._injected(self._factor, x, step) - x)
        if self._added:
            of_added = self._without_bias(self._injected(self._added, torch.zeros_like(x), step))
        return UnitProducts(self._layers(x), of_factor, of_added)

    def _injected(self, noises: Sequence[NoiseSampler], x: Tensor, step: StepIndex) -> Tensor:
        """The values with the noise of all samplers, each of which has other sources."""
        for noise in noises:
            x = noise.at(step)(self._point, x, 0, None)
        return x

    def outputs(self, products: UnitProducts, runs: Sequence[int]) -> Tensor:
        """The input of the next noise point for some runs, ``(R, B, …)``, each with its own levels."""
        y = products.of_values.new_empty(len(runs), *products.of_values.shape[1:])
        for out, run in zip(y, runs, strict=True):
            source, noise = self._source_of[run], self._noises[run]
            total = products.of_values[source]
            for term, level in ((products.of_factor, noise.mul), (products.of_added, noise.add)):
                if term is not None and level > 0:
                    total = torch.add(total, term[source], alpha=level, out=out)
        return y


def _at_level_1(noise: MemberNoise) -> MemberNoise:
    """The noise that all runs with the same draws have in common."""
    return replace(noise, member=0, mul=float(noise.mul > 0), add=float(noise.add > 0), add_first=False)


def _samplers(noises: list[MemberNoise], point: int, sources: int, device: torch.device) -> list[NoiseSampler]:
    """The samplers of noise at one noise point."""
    return samplers([*([] for _ in range(point)), noises], "inference noise", sources, device)


def _without_bias(layer: nn.Module) -> nn.Module:
    """The same product without its bias."""
    copied, parameters = copy.copy(layer), dict(layer.named_parameters(recurse=False))
    if "bias" in parameters:
        parameters["bias"] = nn.Parameter(torch.zeros_like(parameters["bias"]), requires_grad=False)
    copied._parameters = dict(parameters)
    return copied
