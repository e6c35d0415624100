"""Accuracy on the validation set, with each run's noise at inference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from walking_noise.config import RunConfig
from walking_noise.data import DataSet, validation_blocks
from walking_noise.noise.audit import Audit, mismatch
from walking_noise.noise.injection import Injection
from walking_noise.pack import Pack
from walking_noise.points import Inject

BLOCK = 250
"""Samples evaluated at once. A part of the method: noise at inference is keyed by the block a sample stands in."""


@dataclass(frozen=True)
class Evaluation:
    """One run's score in one pass over the validation set.

    Attributes
    ----------
    accuracy
        Share of samples answered correctly, in [0, 1]. Logits that are not finite count as the constant answer.
    nonfinite
        Share of samples whose logits were not finite.
    audit
        The spread of noise and signal in the first block, where it was asked for.
    """

    accuracy: float
    nonfinite: float
    audit: dict[str, Any] | None = None


Around = Callable[[Inject], Inject]
"""Given the injection into a block of samples, what happens at the noise points instead."""


def unchanged(inject: Inject) -> Inject:
    """The injection and nothing else."""
    return inject


@torch.no_grad()
def evaluate(
    pack: Pack,
    members: Sequence[int],
    configs: Sequence[RunConfig],
    data: DataSet,
    epoch: int,
    *,
    audited: bool = False,
    around: Around = unchanged,
) -> list[Evaluation]:
    """Score runs on members of a pack, after ``epoch`` epochs: run i with the weights of ``members[i]``."""
    device = data.validation_labels.device
    noise = Injection(configs, "inference", device)
    audit = Audit(len(configs[0].points), len(configs)) if audited else None
    correct = torch.zeros(len(configs), dtype=torch.int64, device=device)
    nonfinite = torch.zeros(len(configs), dtype=torch.int64, device=device)
    pack.eval()
    state = pack.chosen_state(members)
    for start, x, y in validation_blocks(data, BLOCK, device):
        inject = noise.at(epoch, start // BLOCK, audit=audit if start == 0 else None)
        logits = pack.forward_with(state, x.unsqueeze(0), around(inject))
        finite = logits.isfinite().all(-1)
        answers = torch.where(finite, logits.argmax(-1), data.constant_answer)
        correct += (answers == y).sum(1)
        nonfinite += (~finite).sum(1)
    samples = len(data.validation_labels)
    return [
        Evaluation(right / samples, lost / samples, audit.of(i) if audit else None)
        for i, (right, lost) in enumerate(zip(correct.tolist(), nonfinite.tolist(), strict=True))
    ]


def audit_failure(evaluation: Evaluation, config: RunConfig) -> str | None:
    """Why the noise injected at inference is not what was configured; None if it is."""
    return None if evaluation.audit is None else mismatch(evaluation.audit, config.levels, config.noise_kind.kurtosis)
