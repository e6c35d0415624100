"""Sweep of noise levels at one noise point of a trained network: which samples it still classifies correctly.

All levels pass through the network together, by :func:`torch.func.vmap`: what comes before the noise point is computed
once for all of them, since it does not depend on the level. Networks that vmap cannot compute pass level by level.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from walking_noise.models import PRODUCTS
from walking_noise.models.model_summary import summarise
from walking_noise.models.module_points import WithModulePoints, record_calls, select_calls
from walking_noise.models.noise_points import injecting, points_in, with_noise_points
from walking_noise.models.point import Point
from walking_noise.reproducibility import stream_generator

TOGETHER = 256
"""Samples, counted for each level, that pass through the network together. More overflow the caches of a CPU."""
KINDS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "additive": lambda x, level, draws: x + level * draws,
    "multiplicative": lambda x, level, draws: x * (1 + level * draws),
}
"""Kind of noise -> noisy activations, of activations, level and draws of N(0, 1)."""


class NoiseSweep:
    """A trained network and validation samples, for sweeps at its noise points.

    Parameters
    ----------
    network
        Maps samples ``(B, …)`` to logits ``(B, classes)``. It is copied, and evaluated in inference mode.
    samples, labels
        float32 ``(n, …)`` and int64 ``(n,)``, on the device of the network.
    selected
        The noise points, as in ``model.points``, of a network that places none of its own.
    kind
        A key of :data:`KINDS`.

    Attributes
    ----------
    points
        The noise points, in the order of the forward pass.
    rms
        The root mean square of the values that arrive at each noise point without noise.
    clean
        Whether each sample is classified correctly without noise, bool ``(n,)``.

    Raises
    ------
    ValueError
        The network does not fit the samples, draws random numbers, or has no such noise points.
    """

    def __init__(
        self, network: nn.Module, samples: Tensor, labels: Tensor, selected: str = PRODUCTS, kind: str = "additive"
    ) -> None:
        network, inputs = copy.deepcopy(network).cpu(), tuple(samples.shape[1:])
        with torch.no_grad():
            classes = network.eval()(samples[:1].cpu()).shape[-1]
        if not points_in(network):
            network = WithModulePoints(network, select_calls(record_calls(copy.deepcopy(network), inputs), selected))
        layers = with_noise_points(network)
        summary = summarise(layers, inputs, classes)
        numbered = {point.name: point for point in summary.points}
        for module in points_in(layers):
            module.point = numbered[module.name]
        self._network = layers.to(samples.device).eval()
        self._samples, self._labels, self._apply = samples, labels, KINDS[kind]
        self._shapes = summary.shapes
        self._vmaps = True
        self.points: tuple[Point, ...] = summary.points
        self.rms, self.clean = self._without_noise()

    def correct(self, point: int, levels: Sequence[float], samples: int | None = None, seed: int = 0) -> Tensor:
        """Whether each sample is classified correctly, bool ``(levels, n)``; all levels have the same draws.

        ``samples`` limits n to the first ones.
        """
        count = len(self._labels) if samples is None else min(samples, len(self._labels))
        values = torch.tensor(levels, dtype=torch.float32, device=self._samples.device)
        block, found = max(1, TOGETHER // len(levels)), []
        for number, start in enumerate(range(0, count, block)):
            x = self._samples[start : min(start + block, count)]
            generator = stream_generator(seed, "sweep", number, point)
            draws = torch.randn(len(x), *self._shapes[point], generator=generator).to(x.device)
            found.append(self._logits(point, x, values, draws).argmax(-1) == self._labels[start : start + len(x)])
        return torch.cat(found, 1)

    @torch.no_grad()
    def _logits(self, point: int, x: Tensor, levels: Tensor, draws: Tensor) -> Tensor:
        """The logits ``(levels, B, classes)``."""

        def at_level(level: Tensor) -> Tensor:
            def inject(number: int, values: Tensor) -> Tensor:
                return self._apply(values, level, draws) if number == point else values

            with injecting(self._network, inject), _without_fused_attention():
                logits: Tensor = self._network(x)
            return logits

        if self._vmaps:
            try:
                together: Tensor = torch.func.vmap(at_level)(levels)
                return together
            except RuntimeError:
                self._vmaps = False
        return torch.stack([at_level(level) for level in levels])

    @torch.no_grad()
    def _without_noise(self) -> tuple[tuple[float, ...], Tensor]:
        squares = [0.0] * len(self.points)
        correct = []

        def record(number: int, values: Tensor) -> Tensor:
            squares[number] += float(values.double().square().mean(0).mean() * len(values))
            return values

        for x, labels in zip(self._samples.split(TOGETHER), self._labels.split(TOGETHER), strict=True):
            with injecting(self._network, record), _without_fused_attention():
                correct.append(self._network(x).argmax(-1) == labels)
        return tuple(math.sqrt(one / len(self._labels)) for one in squares), torch.cat(correct)


@contextmanager
def _without_fused_attention() -> Iterator[None]:
    """Disable torch's fused attention, which does not call the modules in an encoder layer and is slow under vmap."""
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)
