"""Packs that stand on the weights of another one: chosen members, each as often as it is named."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TypeVar

from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)


def select_members(pack: Module, members: Sequence[int]) -> Module:
    """The pack of chosen members, for inference alone.

    It sees the weights of ``pack`` where one member is named, once or many times, or members that follow each other;
    else it has copies.
    """
    standing, kept = copy.copy(pack), vars(pack)
    standing._parameters = {name: _weights(tensor.detach(), members) for name, tensor in kept["_parameters"].items()}
    standing._buffers = {name: tensor[list(members)] for name, tensor in kept["_buffers"].items()}
    standing._modules = {name: select_members(module, members) for name, module in kept["_modules"].items()}
    return standing


def must_copy_weights(members: Sequence[int]) -> bool:
    """Whether the pack of these members cannot but copy."""
    return len(set(members)) > 1 and not _in_a_row(members)


def _in_a_row(members: Sequence[int]) -> bool:
    return list(members) == list(range(members[0], members[0] + len(members)))


def _weights(tensor: Tensor, members: Sequence[int]) -> nn.Parameter:
    first, number = members[0], len(members)
    if _in_a_row(members):
        chosen = tensor[first : first + number]
    elif len(set(members)) == 1:
        chosen = tensor[first].expand(number, *tensor.shape[1:])
    else:
        chosen = tensor[list(members)]
    return nn.Parameter(chosen, requires_grad=False)
