"""Any module, run by run."""

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
    """Any module, run by run: the reference that every faster packed layer is tested against.

    All that a member computes with lies as if it were alone, contiguous and at the start of its memory, since many
    operations round by the layout and by the alignment of what they are given.
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
        """Whether noise points stand inside; then the input needs a row for each member."""
        return bool(points_in(self._template[0]))

    def forward(self, x: Tensor, inject: Inject = pass_on) -> Tensor:
        """The members' outputs ``(K, B, …)``, with what ``inject`` does to each at the noise points inside."""
        template = self._template[0].train(self.training)
        names = [name for name, _ in (*template.named_parameters(), *template.named_buffers())]
        stacks = [getattr(self, flat_name(name)).unbind(0) for name in names]
        x = expand_rows(len(stacks[0]) if stacks else len(x), x)
        outputs = []
        for member, (one, *tensors) in enumerate(zip(x.unbind(0), *stacks, strict=True)):
            state = {name: _own(tensor) for name, tensor in zip(names, tensors, strict=True)}
            with _calling_every_module(), injecting(template, partial(inject, member=member)):
                y = functional_call(template, state, (_own(one),))
            if y.requires_grad:
                y.register_hook(_own)
            outputs.append(y)
            for name, _ in template.named_buffers():
                self.get_buffer(flat_name(name))[member].copy_(state[name].detach())
        return torch.stack(outputs)


def _own(tensor: Tensor) -> Tensor:
    return tensor.clone(memory_format=torch.contiguous_format)


@contextmanager
def _calling_every_module() -> Iterator[None]:
    """Without the fused attention of torch at inference, which passes by the modules of an encoder layer."""
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)
