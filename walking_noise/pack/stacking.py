"""Stacking: the tensors of all members of a pack as one tensor, with the members in the first dimension."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

CACHED = 2**22
"""Bytes that stay in the caches of a core from one operation to the next."""

StackedState = dict[str, Tensor]
"""Tensors ``(K, …)`` by name, a row for each member."""

MemberState = dict[str, Tensor]
"""One member's rows of them."""


class Stackable(Protocol):
    """A part of a pack."""

    def stacked_state(self) -> StackedState:
        """All that its further work depends on: its own tensors, not copies."""


def stacked_states(**parts: Stackable) -> StackedState:
    """The tensors of all parts, under the names of the parts."""
    return {f"{part}.{name}": stack for part, of in parts.items() for name, stack in of.stacked_state().items()}


def unstack(stacks: Mapping[str, Tensor]) -> list[MemberState]:
    """The members' states, as views."""
    rows = zip(*(stack.unbind(0) for stack in stacks.values()), strict=True)
    return [dict(zip(stacks, row, strict=True)) for row in rows]


@torch.no_grad()
def load_states(stacks: Mapping[str, Tensor], states: Sequence[MemberState]) -> None:
    """Let the stacks hold these states, wherever they lie."""
    for name, stack in stacks.items():
        rows = [state[name] for state in states]
        if len({row.device for row in rows}) > 1:
            rows = [row.to(stack.device) for row in rows]
        stack.copy_(torch.stack(rows))


def stack_parameters(tensors: Sequence[Tensor]) -> nn.Parameter:
    """The runs' parameters as one, ``(K, …)``."""
    return nn.Parameter(torch.stack([tensor.detach() for tensor in tensors]))


def flat_name(name: str) -> str:
    """A parameter's dotted name as torch allows it on one module."""
    return name.replace(".", "__")


def merge_members(x: Tensor) -> Tensor:
    """``(K, B, C, …)`` to ``(B, K·C, …)``; no copy for K = 1, nor of what :func:`split_members` gave."""
    return x.transpose(0, 1).flatten(1, 2)


def split_members(x: Tensor, runs: int) -> Tensor:
    """``(B, K·C, …)`` to ``(K, B, C, …)``, as a view."""
    apart: Tensor = x.unflatten(1, (runs, -1))
    return apart.transpose(0, 1)


def expand_rows(members: int, x: Tensor) -> Tensor:
    """Activations ``(K, B, …)`` of K members, of ``(rows, B, …)``: each row is that of K / rows members in turn.

    A view if there is one row.
    """
    rows = len(x)
    if rows == members:
        return x
    return x.unsqueeze(1).expand(rows, members // rows, *x.shape[1:]).flatten(0, 1)


def aligned(tensor: Tensor) -> Tensor:
    """The same at an address that it could have alone: many operations of a CPU round by where a tensor begins."""
    return tensor if tensor.data_ptr() % 64 == 0 else tensor.clone()


def all_finite(stacks: Sequence[Tensor]) -> Tensor:
    """For each member whether all of its elements of tensors ``(K, …)`` are finite, ``(K,)``."""
    return torch.stack([stack.isfinite().flatten(1).all(1) for stack in stacks]).all(0)


def cache_sized_slices(images: Tensor) -> Iterator[slice]:
    """Parts of a tensor ``(B, …)`` along its first dimension, so small that a core computes on each in its cache."""
    each = max(1, CACHED // (images[0].numel() * images.element_size()))
    for first in range(0, len(images), each):
        yield slice(first, first + each)
