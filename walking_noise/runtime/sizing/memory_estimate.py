"""Memory estimate of one run of a pack, counted on the packed layers themselves without computing anything."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from walking_noise import models
from walking_noise.config.run_config import RunConfig
from walking_noise.evaluation.shared_prefix import BLOCK
from walking_noise.pack.pack import Pack
from walking_noise.training.step import cross_entropy

META = torch.device("meta")


@dataclass(frozen=True)
class MemoryEstimate:
    """Memory of one run of a pack, in bytes.

    Attributes
    ----------
    network
        Parameters and buffers.
    persistent
        Held between training steps: the network and Adam's two moments.
    step
        Peak of a training step, in addition.
    block
        Peak of the evaluation of a block of samples, in addition.
    """

    network: int
    persistent: int
    step: int
    block: int


def estimate_memory(config: RunConfig, device: torch.device = META) -> MemoryEstimate:
    """Estimate the memory of a run with mini-batches of its own and, at every point, noise whose factor is kept.

    The workspace of libraries is not included. ``device`` holds the layers; on the meta device, which computes nothing,
    they are those of a GPU.
    """
    data, model = config.data, config.model
    return _estimate(model.name, data.shape, data.classes, model.batch_norm, config.training.batch_size, device)


@cache
def _estimate(
    model: str, inputs: tuple[int, ...], classes: int, batch_norm: bool, batch_size: int, device: torch.device
) -> MemoryEstimate:
    with META:
        pack = Pack([models.build(model, inputs, classes, batch_norm)]).to_empty(device=device)
    parameters, buffers = (sum(map(_bytes, tensors)) for tensors in (pack.parameters(), pack.buffers()))

    with _PeakMemory(pack) as step:
        x, y = torch.zeros(1, batch_size, *inputs, device=device), torch.zeros(1, batch_size, device=device).long()
        torch.autograd.grad(cross_entropy(pack(x, _noisy), y).sum(), list(pack.parameters()), allow_unused=True)
    with _PeakMemory(pack.eval()) as block, torch.no_grad():
        pack(torch.zeros(1, BLOCK, *inputs, device=device), _noisy)
    network = parameters + buffers
    return MemoryEstimate(network, network + 2 * parameters, step.peak, block.peak)


def _noisy(point: int, x: Tensor, /, member: int | None = None) -> Tensor:
    """An injection of multiplicative and additive noise."""
    return x * torch.ones_like(x) + torch.zeros_like(x)


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


class _PeakMemory(TorchDispatchMode):
    """Sums the memory of all tensors while they exist, without the pack's own, and notes the peak."""

    def __init__(self, pack: Pack) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self._owned = WeakIdKeyDictionary({tensor.untyped_storage(): 0 for tensor in pack.state_dict().values()})
        self._existing = WeakIdKeyDictionary()

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = operation(*args, **(kwargs or {}))
        for output in tree_leaves(result):
            storage = output.untyped_storage() if isinstance(output, Tensor) else None
            if storage is not None and storage not in self._owned:
                self._existing[storage] = storage.nbytes()
        self.peak = max(self.peak, sum(self._existing.values()))
        return result
