"""Any layer, run by run."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from walking_noise.layers.stacking import flat_name, for_each, stacked


class MemberByMember(nn.Module):
    """Any layer, run by run: the reference that every faster packed layer is tested against.

    Every member's input and gradient are contiguous as if it were alone: many layers round by the layout.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self._template = [members[0]]
        for name, _ in members[0].named_parameters():
            self.register_parameter(flat_name(name), stacked([m.get_parameter(name) for m in members]))
        for name, _ in members[0].named_buffers():
            self.register_buffer(flat_name(name), torch.stack([m.get_buffer(name) for m in members]))

    def forward(self, x: Tensor) -> Tensor:
        template = self._template[0].train(self.training)
        names = [name for name, _ in (*template.named_parameters(), *template.named_buffers())]
        stacks = [getattr(self, flat_name(name)).unbind(0) for name in names]
        x = for_each(len(stacks[0]) if stacks else len(x), x).contiguous()
        outputs = [
            functional_call(template, dict(zip(names, tensors, strict=True)), (member,))
            for member, *tensors in zip(x.unbind(0), *stacks, strict=True)
        ]
        y = torch.stack(outputs)
        if y.requires_grad:
            y.register_hook(torch.Tensor.contiguous)
        return y
