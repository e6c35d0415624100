"""Selection of members: a pack for inference that shares the weights of another pack where possible."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TypeVar

from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)


def select_members(pack: Module, members: Sequence[int]) -> Module:
    """The pack of the selected members, for inference only.

    Its weights are views of those of ``pack`` if ``members`` are consecutive, or name a single member any number of
    times. Otherwise they are copies. An index may occur several times in ``members``.
    """
    selected, attributes = copy.copy(pack), vars(pack)
    selected._parameters = {
        name: _weights(tensor.detach(), members) for name, tensor in attributes["_parameters"].items()
    }
    selected._buffers = {name: tensor[list(members)] for name, tensor in attributes["_buffers"].items()}
    selected._modules = {name: select_members(module, members) for name, module in attributes["_modules"].items()}
    return selected


def must_copy_weights(members: Sequence[int]) -> bool:
    """Whether :func:`select_members` has to copy weights for these members."""
    return len(set(members)) > 1 and not _consecutive(members)


def _consecutive(members: Sequence[int]) -> bool:
    return list(members) == list(range(members[0], members[0] + len(members)))


def _weights(tensor: Tensor, members: Sequence[int]) -> nn.Parameter:
    """The rows of ``tensor`` for these members, as a view where possible."""
    first, number = members[0], len(members)
    if _consecutive(members):
        rows = tensor[first : first + number]
    elif len(set(members)) == 1:
        rows = tensor[first].expand(number, *tensor.shape[1:])
    else:
        rows = tensor[list(members)]
    return nn.Parameter(rows, requires_grad=False)
