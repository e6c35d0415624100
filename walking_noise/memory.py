"""How much memory a run of a pack takes, counted on the packed layers themselves without computing anything."""

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
from walking_noise.config import RunConfig
from walking_noise.pack import Pack
from walking_noise.passage import BLOCK
from walking_noise.step import cross_entropy

META = torch.device("meta")


@dataclass(frozen=True)
class Need:
    """What one run of a pack needs, in bytes.

    Attributes
    ----------
    network
        Its parameters and buffers.
    kept
        From one training step to the next: the network and Adam's two moments.
    step
        At most, beside these, in a training step.
    block
        At most, beside these, in the evaluation of a block of samples.
    """

    network: int
    kept: int
    step: int
    block: int


def need(config: RunConfig, device: torch.device = META) -> Need:
    """What a run needs if it has mini-batches of its own and noise at every point whose factor is kept.

    What libraries take as work space is not seen. ``device``: where the layers are; on the meta device, where nothing
    is computed, they are those of a GPU.
    """
    data, model = config.data, config.model
    return _need(model.name, data.shape, data.classes, model.batch_norm, config.training.batch_size, device)


@cache
def _need(
    model: str, inputs: tuple[int, ...], classes: int, batch_norm: bool, batch_size: int, device: torch.device
) -> Need:
    with META:
        pack = Pack([models.build(model, inputs, classes, batch_norm)]).to_empty(device=device)
    parameters, buffers = (sum(map(_bytes, tensors)) for tensors in (pack.parameters(), pack.buffers()))

    with _Held(pack) as step:
        x, y = torch.zeros(1, batch_size, *inputs, device=device), torch.zeros(1, batch_size, device=device).long()
        torch.autograd.grad(cross_entropy(pack(x, _noisy), y).sum(), list(pack.parameters()), allow_unused=True)
    with _Held(pack.eval()) as block, torch.no_grad():
        pack(torch.zeros(1, BLOCK, *inputs, device=device), _noisy)
    network = parameters + buffers
    return Need(network, network + 2 * parameters, step.most, block.most)


def _noisy(point: int, x: Tensor, /, member: int | None = None) -> Tensor:
    """Multiplicative and additive noise."""
    return x * torch.ones_like(x) + torch.zeros_like(x)


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


class _Held(TorchDispatchMode):
    """The memory of the tensors that are made, as long as they are held; that of a pack's own is none of it."""

    def __init__(self, pack: Pack) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.most = 0
        self._owned = WeakIdKeyDictionary({tensor.untyped_storage(): 0 for tensor in pack.state_dict().values()})
        self._held = WeakIdKeyDictionary()

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = operation(*args, **(kwargs or {}))
        for made in tree_leaves(result):
            storage = made.untyped_storage() if isinstance(made, Tensor) else None
            if storage is not None and storage not in self._owned:
                self._held[storage] = storage.nbytes()
        self.most = max(self.most, sum(self._held.values()))
        return result
