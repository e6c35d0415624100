"""Layer of a pack for any module, computed member by member."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._pytree import tree_flatten, tree_map_only, tree_unflatten

from walking_noise.models.module_points import calling_every_module
from walking_noise.models.noise_points import Inject, injecting, points_in
from walking_noise.pack.stacking import expand_rows, flat_name, stack_parameters


def pass_on(point: int, x: Tensor, /, member: int | None = None) -> Tensor:
    """Inject nothing."""
    return x


class MemberByMember(nn.Module):
    """Any module, computed member by member; the faster packed layers are tested against it.

    All inputs of a member's computation are copied to contiguous memory of their own, since the rounding of many
    operations depends on the layout and the alignment of their inputs.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self._template = [members[0]]
        for name, _ in members[0].named_parameters():
            self.register_parameter(flat_name(name), stack_parameters([m.get_parameter(name) for m in members]))
        for name, _ in members[0].named_buffers():
            self.register_buffer(flat_name(name), torch.stack([m.get_buffer(name) for m in members]))

    @property
    def has_points(self) -> bool:
        """Whether the module contains noise points; then the input needs a row for each member."""
        return bool(points_in(self._template[0]))

    def forward(self, x: Tensor, inject: Inject = pass_on) -> Tensor:
        """The members' outputs ``(K, B, …)``, with the injection of ``inject`` at the noise points in the module."""
        stacks = [*self.parameters(), *self.buffers()]
        members = len(stacks[0]) if stacks else len(x)
        y: Tensor = self.compute(inject, (expand_rows(members, x),), {}, members)
        return y

    def compute(self, inject: Inject, args: tuple[Any, ...], kwargs: dict[str, Any], members: int) -> Any:
        """The members' outputs for any arguments; tensors in arguments and outputs are ``(K, B, …)``."""
        template = self._template[0].train(self.training)
        names = [name for name, _ in (*template.named_parameters(), *template.named_buffers())]
        outputs = []
        for member in range(members):
            state = {name: own_copy(getattr(self, flat_name(name))[member]) for name in names}
            own = partial(_row, member)
            some, named = tree_map_only(Tensor, own, (args, kwargs))
            with calling_every_module(), injecting(template, partial(inject, member=member)):
                outputs.append(functional_call(template, state, some, named))
            for name, _ in template.named_buffers():
                self.get_buffer(flat_name(name))[member].copy_(state[name].detach())
        return stack_outputs(outputs)


def stack_outputs(outputs: Sequence[Any]) -> Any:
    """The outputs of the members, tensors ``(…)`` or structures of them, as one: tensors ``(K, …)``.

    What is not a tensor is equal for all members. The gradients of the members get contiguous memory of their own.
    """
    leaves = [tree_flatten(output)[0] for output in outputs]
    for tensor in (leaf for row in leaves for leaf in row if isinstance(leaf, Tensor) and leaf.requires_grad):
        tensor.register_hook(own_copy)
    columns = zip(*leaves, strict=True)
    stacked = [torch.stack(column) if isinstance(column[0], Tensor) else column[0] for column in columns]
    return tree_unflatten(stacked, tree_flatten(outputs[0])[1])


def own_copy(tensor: Tensor) -> Tensor:
    """A copy in contiguous memory of its own."""
    return tensor.clone(memory_format=torch.contiguous_format)


def _row(member: int, tensor: Tensor) -> Tensor:
    return own_copy(tensor[member])
