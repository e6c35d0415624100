"""Layer of a pack for any module, computed member by member."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call

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
        template = self._template[0].train(self.training)
        names = [name for name, _ in (*template.named_parameters(), *template.named_buffers())]
        stacks = [getattr(self, flat_name(name)).unbind(0) for name in names]
        x = expand_rows(len(stacks[0]) if stacks else len(x), x)
        outputs = []
        for member, (member_x, *tensors) in enumerate(zip(x.unbind(0), *stacks, strict=True)):
            state = {name: _own(tensor) for name, tensor in zip(names, tensors, strict=True)}
            with _calling_every_module(), injecting(template, partial(inject, member=member)):
                y = functional_call(template, state, (_own(member_x),))
            if y.requires_grad:
                y.register_hook(_own)
            outputs.append(y)
            for name, _ in template.named_buffers():
                self.get_buffer(flat_name(name))[member].copy_(state[name].detach())
        return torch.stack(outputs)


def _own(tensor: Tensor) -> Tensor:
    """A copy in contiguous memory of its own."""
    return tensor.clone(memory_format=torch.contiguous_format)


@contextmanager
def _calling_every_module() -> Iterator[None]:
    """Disable torch's fused attention at inference, which does not call the modules in an encoder layer."""
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)
