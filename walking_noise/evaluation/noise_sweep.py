"""Sweep of noise levels at one noise point of a trained network: which samples it still classifies correctly.

All levels pass through the network together, by :func:`torch.func.vmap`: what comes before the noise point is computed
once for all of them, since it does not depend on the level. Networks that vmap cannot compute pass level by level.

Images are laid out with the channels last, and BatchNorm is computed as the affine map that it is at inference: vmap
would copy what it normalises. On ResNet-20 both together save a third of the time.
"""

from __future__ import annotations

import copy
import logging
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from walking_noise.errors import ran_out_of_memory, reason
from walking_noise.models import PRODUCTS
from walking_noise.models.forward_recorder import ForwardRecorder
from walking_noise.models.model_summary import SAMPLES
from walking_noise.models.module_points import WithModulePoints, calling_every_module, record_calls, select_calls
from walking_noise.models.noise_points import injecting, points_in, with_noise_points
from walking_noise.models.point import Point
from walking_noise.noise import NoiseKind, noise_kinds
from walking_noise.reproducibility import stream_key

TOGETHER = 256
"""Samples, counted for each level, that pass through the network together. More overflow the caches of a CPU."""


def kinds_with_one_level() -> dict[str, NoiseKind]:
    """The kinds of noise that one level determines, by name."""
    return {name: kind for name, kind in noise_kinds().items() if kind.level_setting}


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
        A kind of noise with one level; a function of the activations has its default settings.

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
        The network does not fit the samples, draws random numbers, or has no such noise points; there is no such kind.
    """

    def __init__(
        self, network: nn.Module, samples: Tensor, labels: Tensor, selected: str = PRODUCTS, kind: str = "additive"
    ) -> None:
        if kind not in (allowed := kinds_with_one_level()):
            raise ValueError(f"kind {kind!r}: allowed: {', '.join(allowed)}")
        network = copy.deepcopy(network).eval()
        some = samples[:SAMPLES]
        if not points_in(network):
            with _without_fused_attention():
                calls = record_calls(copy.deepcopy(network), some)
            network = WithModulePoints(network, select_calls(calls, selected))
        self._network = with_noise_points(network).eval()
        with torch.no_grad(), _without_fused_attention(), ForwardRecorder(self._network, len(some)) as recorder:
            logits = self._network(some)
        if not isinstance(logits, Tensor) or logits.dim() != 2 or len(logits) != len(some):
            raise ValueError("it does not return a tensor of logits (samples, classes)")
        self.points: tuple[Point, ...] = tuple(recorder.points)
        numbered = {point.name: point for point in self.points}
        for module in points_in(self._network):
            if module.name not in numbered:
                raise ValueError(f"a forward pass does not reach its noise point {module.name!r}")
            module.point = numbered[module.name]
        _batch_norm_as_affine_maps(self._network)
        self._labels, self._kind = labels, allowed[kind]
        self._not_together = set[int]()  # points at which vmap cannot compute the levels together
        try:
            self._samples = _channels_last(samples)
            self.rms, self.clean = self._without_noise()
        except RuntimeError as error:  # such as of Tensor.view
            if ran_out_of_memory(error):
                raise
            self._samples = samples
            self.rms, self.clean = self._without_noise()

    def correct(self, point: int, levels: Sequence[float], samples: int | None = None, seed: int = 0) -> Tensor:
        """Whether each sample is classified correctly, bool ``(levels, n)``; all levels have the same draws.

        ``samples`` limits n to the first ones.
        """
        count = len(self._labels) if samples is None else min(samples, len(self._labels))
        values = torch.tensor(levels, dtype=torch.float32, device=self._samples.device)
        block = max(1, TOGETHER // len(levels))
        found = []
        for number, start in enumerate(range(0, count, block)):
            x = self._samples[start : min(start + block, count)].clone()
            logits = self._logits(point, x, values, stream_key(seed, "sweep", number, point))
            found.append(logits.argmax(-1) == self._labels[start : start + len(x)])
        return torch.cat(found, 1)

    @torch.no_grad()
    def _logits(self, point: int, x: Tensor, levels: Tensor, key: int) -> Tensor:
        """The logits ``(levels, B, classes)``; all levels have the draws that ``key`` gives."""

        def at_level(level: Tensor) -> Tensor:
            def inject(number: int, values: Tensor) -> Tensor:
                return _noisy(self._kind, values, level, key) if number == point else values

            with injecting(self._network, inject), _without_fused_attention():
                logits: Tensor = self._network(x)
            return logits

        if point not in self._not_together:
            try:
                with warnings.catch_warnings():
                    warnings.filterwarnings("ignore", "There is a performance drop")  # of operations without vmap
                    together: Tensor = torch.func.vmap(at_level, randomness="same")(levels)
                return together
            except RuntimeError as error:
                if ran_out_of_memory(error):
                    raise
                logging.getLogger(__name__).debug("noise point %d: level by level (%s)", point, reason(error))
                self._not_together.add(point)
        return torch.stack([at_level(level) for level in levels])

    @torch.no_grad()
    def _without_noise(self) -> tuple[tuple[float, ...], Tensor]:
        squares = [0.0] * len(self.points)
        correct = []

        def record(number: int, values: Tensor) -> Tensor:
            norm = torch.linalg.vector_norm(values, dtype=torch.float64)
            squares[number] += float(norm) ** 2 / values[0].numel()
            return values

        for x, labels in zip(self._samples.split(TOGETHER), self._labels.split(TOGETHER), strict=True):
            with injecting(self._network, record), _without_fused_attention():
                correct.append(self._network(x.clone()).argmax(-1) == labels)
        return tuple(math.sqrt(one / len(self._labels)) for one in squares), torch.cat(correct)


def _noisy(kind: NoiseKind, x: Tensor, level: Tensor, key: int) -> Tensor:
    """The activations at a level ``()``, with the draws that ``key`` gives."""
    if kind.transform:
        return kind.transform.apply(x, level)
    generator, levels = torch.Generator().manual_seed(key), kind.at_level(level)

    def drawn() -> Tensor:
        kind.draw(out := torch.empty(x.shape), generator)
        return _channels_last(out).to(x.device)

    if kind.multiplies:
        x = x * (1 + levels.mul * drawn())
    return x + levels.add * drawn() if kind.adds else x


def _channels_last(x: Tensor) -> Tensor:
    """The same values, those of images ``(B, C, height, width)`` with the channels last in memory."""
    return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x


@torch.no_grad()
def _batch_norm_as_affine_maps(network: nn.Module) -> None:
    """Let every BatchNorm of images compute ``shift + scale·x``, from its statistics."""
    for norm in network.modules():
        if type(norm) is nn.BatchNorm2d and not norm.training and norm.running_mean is not None:
            scale = torch.rsqrt(cast(Tensor, norm.running_var) + norm.eps)
            scale = scale if norm.weight is None else scale * norm.weight
            shift = -scale * norm.running_mean
            shift = shift if norm.bias is None else shift + norm.bias
            affine = partial(torch.addcmul, shift[:, None, None], tensor2=scale[:, None, None])
            norm.__dict__["forward"] = affine


@contextmanager
def _without_fused_attention() -> Iterator[None]:
    """Disable torch's fused attention, which does not call the modules in an encoder layer and is slow under vmap."""
    with calling_every_module(), sdpa_kernel(SDPBackend.MATH):
        yield
