"""Knowledge distillation (Hinton, Vinyals and Dean 2015): the loss of a pack's students, and the start at the teacher.

A student's loss is ``(1 - b)·CE(z, y) + b·T²·CE(z/T, softmax(t/T))``, with the logits z of the student and t of its
teacher, soft-label share b and temperature T. The teacher is a network trained without noise, in evaluation mode.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from walking_noise.config.run_config import RunConfig
from walking_noise.pack.layers.member_by_member import pass_on
from walking_noise.pack.pack import Pack
from walking_noise.pack.select_members import select_members
from walking_noise.pack.stacking import MemberState, StackedState, load_states

Teachers = Mapping[str, MemberState]
"""Parameters and buffers of trained networks, by network key."""


class Distillation:
    """Distillation of those members of a pack whose soft-label share is above 0; the losses of others do not change.

    ``teachers`` has the teachers of all members.
    """

    def __init__(self, configs: Sequence[RunConfig], teachers: Teachers, device: torch.device) -> None:
        self._students = [k for k, config in enumerate(configs) if config.distillation.soft_label_share > 0]
        self._members = len(configs)
        if not self._students:
            return
        needed = [configs[student].teacher for student in self._students]
        keys = [teacher.network_key for teacher in needed if teacher is not None]
        self._distinct = list(dict.fromkeys(keys))
        self._teacher_of = [self._distinct.index(key) for key in keys]
        self._pack = Pack([configs[0].initial_network()] * len(self._distinct)).to(device).eval()
        load_states(self._pack.stacked_state(), [teachers[key] for key in self._distinct])
        share = torch.tensor([configs[student].distillation.soft_label_share for student in self._students])
        self._share, self._rows = share.to(device), torch.tensor(self._students, device=device)
        temperatures = [configs[student].distillation.temperature for student in self._students]
        self._temperature = torch.tensor(temperatures, device=device).view(-1, 1, 1)
        self._hard = torch.ones(len(configs), device=device).index_copy(0, self._rows, 1 - self._share)

    def losses(self, hard: Tensor, logits: Tensor, labels: Tensor, x: Tensor, weights: Tensor | None) -> Tensor:
        """The losses ``(K,)`` of all members, from those of the labels, ``hard``.

        Parameters
        ----------
        logits, labels
            ``(K, B, classes)`` and ``(K, B)``.
        x
            The inputs ``(rows, B, …)`` of the mini-batch; each row is that of K / rows consecutive members.
        weights
            The weights of the classes in the loss; None: equal weights.
        """
        if not self._students:
            return hard
        targets = (self._teacher_logits(x) / self._temperature).softmax(-1)
        log_shares = (logits[self._rows] / self._temperature).log_softmax(-1)
        soft = -(targets * log_shares).sum(-1) * self._temperature.view(-1, 1).square()
        if weights is not None:
            of_samples = weights[labels[self._rows]]
            soft = soft * of_samples * (of_samples.shape[1] / of_samples.sum(1, keepdim=True))
        return (hard * self._hard).index_add(0, self._rows, self._share * soft.mean(1))

    @torch.no_grad()
    def _teacher_logits(self, x: Tensor) -> Tensor:
        """The logits ``(students, B, classes)`` of the students' teachers; a teacher computes each input once."""
        row_of = [student * len(x) // self._members for student in self._students]
        pairs = list(dict.fromkeys(zip(self._teacher_of, row_of, strict=True)))
        teachers = select_members(self._pack, [teacher for teacher, _ in pairs])
        logits: Tensor = teachers(x[[row for _, row in pairs]], pass_on)
        return logits[[pairs.index(pair) for pair in zip(self._teacher_of, row_of, strict=True)]]


def start_at_teachers(state: StackedState, configs: Sequence[RunConfig], teachers: Teachers) -> None:
    """Copy the teachers' parameters and buffers to those members that start at theirs (``distillation.initialise``)."""
    for member, config in enumerate(configs):
        if config.distillation.initialise and config.teacher is not None:
            for name, values in teachers[config.teacher.network_key].items():
                state[name][member].copy_(values)


def teachers_of(configs: Sequence[RunConfig]) -> list[RunConfig]:
    """The distinct teachers that runs need, in the order of the first student of each."""
    found = {config.teacher.network_key: config.teacher for config in configs if config.teacher is not None}
    return list(found.values())
