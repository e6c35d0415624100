"""Memory estimate of one run of a pack, by counting the tensors of a packed network on the meta device."""

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
from walking_noise.pack.pack import Pack, cross_entropy

META = torch.device("meta")


@dataclass(frozen=True)
class MemoryEstimate:
    """Memory of one run of a pack, in bytes."""

    network: int  # parameters and buffers
    persistent: int  # between training steps: the network and Adam's two moments
    step: int  # additional peak of a training step
    block: int  # additional peak of the evaluation of a block of samples


def estimate_memory(config: RunConfig, device: torch.device = META) -> MemoryEstimate:
    """Estimate the memory of a run that shares no mini-batches and has multiplicative noise at every noise point.

    Autograd keeps the factor of that noise. The workspace of libraries is not included. The layers are counted on
    ``device``. The meta device, which computes nothing, uses the layers of a GPU.
    """
    return _estimate(config.architecture, config.training.batch_size, device)


@cache
def _estimate(architecture: models.Architecture, batch_size: int, device: torch.device) -> MemoryEstimate:
    inputs = architecture.inputs
    with META:
        pack = Pack([models.build(architecture)]).to_empty(device=device)
    parameters, buffers = (sum(map(_bytes, tensors)) for tensors in (pack.parameters(), pack.buffers()))

    with _PeakMemory(pack) as step:
        x, y = torch.zeros(1, batch_size, *inputs, device=device), torch.zeros(1, batch_size, device=device).long()
        torch.autograd.grad(cross_entropy(pack(x, _noisy), y).sum(), list(pack.parameters()), allow_unused=True)
    with _PeakMemory(pack.eval()) as block, torch.no_grad():
        pack(torch.zeros(1, BLOCK, *inputs, device=device), _noisy)
    network = parameters + buffers
    return MemoryEstimate(network, network + 2 * parameters, step.peak, block.peak)


def _noisy(point: int, x: Tensor, /, member: int | None = None) -> Tensor:
    """An injection that allocates as many tensors as multiplicative and additive noise do."""
    return x * torch.ones_like(x) + torch.zeros_like(x)


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


class _PeakMemory(TorchDispatchMode):
    """Records the peak of the memory of all tensors, except those of the pack."""

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
