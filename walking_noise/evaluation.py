"""Accuracy on the validation set, with each run's noise at inference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from walking_noise import capacity
from walking_noise.config import RunConfig
from walking_noise.data import DataSet, validation_blocks
from walking_noise.noise.audit import mismatch
from walking_noise.pack import Pack
from walking_noise.passage import BLOCK, Around, Passage
from walking_noise.points import Inject


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
    together: int | None = None,
    check: Callable[[], None] = lambda: None,
) -> list[Evaluation]:
    """Score runs on members of a pack, after ``epoch`` epochs: run i with the weights of ``members[i]``.

    Up to the noise point where their noise begins, runs on the same member share its activations, and ``around`` sees
    these once.

    Parameters
    ----------
    together
        The most runs that go through the layers as one; None: as many as suit the device.
    check
        Called between batches; may raise to stop.
    """
    device = data.validation_labels.device
    together = together or capacity.evaluated_together(configs[0], device)
    counts = torch.zeros(2, len(configs), dtype=torch.int64, device=device)
    pack.eval()
    passage = Passage(pack, members, configs, epoch, around=around, audited=audited, together=together)
    for start, x, y in validation_blocks(data, BLOCK, device):
        counted = []
        for logits in passage.logits(x.unsqueeze(0), start // BLOCK):
            counted.append(_right_and_lost(logits, y, data.constant_answer))
            check()
        counts += torch.cat(counted, 1)
    samples, audits = len(data.validation_labels), passage.audits() if audited else {}
    found = {
        run: Evaluation(right / samples, lost / samples, audits.get(run))
        for run, right, lost in zip(passage.runs, *counts.tolist(), strict=True)
    }
    return [found[run] for run in range(len(configs))]


def _right_and_lost(logits: Tensor, labels: Tensor, constant_answer: int) -> Tensor:
    """The numbers, ``(2, R)``, of samples answered correctly, and of those with logits that are not finite.

    ``logits`` are (R, B, classes), ``labels`` (B,).
    """
    lost = (logits * 0).sum(-1) != 0
    answers = torch.where(lost, constant_answer, logits.argmax(-1))
    return torch.stack([answers == labels, lost]).sum(-1)


def audit_failure(evaluation: Evaluation, config: RunConfig) -> str | None:
    """Why the noise injected at inference is not what was configured; None if it is."""
    return None if evaluation.audit is None else mismatch(evaluation.audit, config.levels, config.noise_kind.kurtosis)
