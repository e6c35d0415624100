"""Stacking of the tensors of all members of a pack into one tensor, with the members in the first dimension."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

CACHED = 2**22
"""Bytes that fit into the caches of a CPU core, so that consecutive operations find them there."""

StackedState = dict[str, Tensor]
"""Tensors ``(K, …)`` by name; row k belongs to member k."""

MemberState = dict[str, Tensor]
"""The rows of one member, ``(…)``, by the same names."""


def unstack(stacks: Mapping[str, Tensor]) -> list[MemberState]:
    """Split stacks ``(K, …)`` into the states of the K members, as views ``(…)``."""
    rows = zip(*(stack.unbind(0) for stack in stacks.values()), strict=True)
    return [dict(zip(stacks, row, strict=True)) for row in rows]


@torch.no_grad()
def load_states(stacks: Mapping[str, Tensor], states: Sequence[MemberState]) -> None:
    """Copy the states of K members into the stacks ``(K, …)`` of the same names, in place, from any device."""
    for name, stack in stacks.items():
        rows = [state[name] for state in states]
        if len({row.device for row in rows}) > 1:
            rows = [row.to(stack.device) for row in rows]
        stack.copy_(torch.stack(rows))


def stack_parameters(tensors: Sequence[Tensor]) -> nn.Parameter:
    """The parameters ``(…)`` of K members as one parameter ``(K, …)``; a copy."""
    return nn.Parameter(torch.stack([tensor.detach() for tensor in tensors]))


def stacked_bias(weight: Tensor, bias: Tensor | None) -> Tensor:
    """The biases ``(K, out)`` of layers with weights ``(K, out, …)``; zeros if they have none."""
    return weight.new_zeros(weight.shape[:2]) if bias is None else bias


def flat_name(name: str) -> str:
    """The dotted name of a parameter without dots, as torch requires for a parameter of a single module."""
    return name.replace(".", "__")


def merge_members(x: Tensor) -> Tensor:
    """Reshape ``(K, B, C, …)`` to ``(B, K·C, …)``; a view if K = 1 or ``x`` comes from :func:`split_members`."""
    return x.transpose(0, 1).flatten(1, 2)


def split_members(x: Tensor, members: int) -> Tensor:
    """Reshape ``(B, K·C, …)`` to ``(K, B, C, …)`` for K ``members``, as a view."""
    separate: Tensor = x.unflatten(1, (members, -1))
    return separate.transpose(0, 1)


def empty_side_by_side(like: Tensor, members: int, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
    """An empty tensor ``(K, B, *shape)`` for the B samples of ``like``, in the layout of :func:`split_members`."""
    return like.new_empty(like.shape[1], members, *shape, dtype=dtype).transpose(0, 1)


def expand_rows(members: int, x: Tensor) -> Tensor:
    """Expand activations ``(rows, B, …)`` to ``(K, B, …)``: each row is repeated for K / rows consecutive members.

    The result is a view if there is one row, and ``x`` itself if there is a row for each of the K ``members``.
    """
    rows = len(x)
    if rows == members:
        return x
    return x.unsqueeze(1).expand(rows, members // rows, *x.shape[1:]).flatten(0, 1)


def aligned(tensor: Tensor) -> Tensor:
    """The tensor at an address that is a multiple of 64 bytes, copied if necessary.

    The rounding of many CPU operations depends on the alignment of a tensor. With aligned memory a member of a pack is
    rounded as in a pack of one.
    """
    return tensor if tensor.data_ptr() % 64 == 0 else tensor.clone()


def all_finite(stacks: Sequence[Tensor]) -> Tensor:
    """Whether all elements of a member in the tensors ``(K, …)`` are finite, ``(K,)`` bool."""
    return torch.stack([stack.isfinite().reshape(len(stack), -1).all(1) for stack in stacks]).all(0)


def cache_sized_slices(images: Tensor) -> Iterator[slice]:
    """Slices of a tensor ``(B, …)`` along its first dimension, each small enough for the cache of a CPU core."""
    size = max(1, CACHED // (images[0].numel() * images.element_size()))
    for first in range(0, len(images), size):
        yield slice(first, first + size)
