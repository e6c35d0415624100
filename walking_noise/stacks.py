"""The state of a pack as tensors of all its members, which can be cut into members and put together from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

Stacks = dict[str, Tensor]
"""Tensors ``(K, …)`` by name, a row for each member."""

State = dict[str, Tensor]
"""One member's rows of them."""


class Stacked(Protocol):
    """A part of a pack."""

    def stacked_state(self) -> Stacks:
        """All that its further work depends on: its own tensors, not copies."""


def stacks_of(**parts: Stacked) -> Stacks:
    """The tensors of all parts, under the names of the parts."""
    return {f"{part}.{name}": stack for part, of in parts.items() for name, stack in of.stacked_state().items()}


def cut(stacks: Mapping[str, Tensor]) -> list[State]:
    """The members' states, as views."""
    rows = zip(*(stack.unbind(0) for stack in stacks.values()), strict=True)
    return [dict(zip(stacks, row, strict=True)) for row in rows]


@torch.no_grad()
def put_together(stacks: Mapping[str, Tensor], states: Sequence[State]) -> None:
    """Let the stacks hold these states, wherever they lie."""
    for name, stack in stacks.items():
        rows = [state[name] for state in states]
        if len({row.device for row in rows}) > 1:
            rows = [row.to(stack.device) for row in rows]
        stack.copy_(torch.stack(rows))
