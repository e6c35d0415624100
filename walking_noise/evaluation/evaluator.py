"""Evaluation of runs on the validation set, with each run's noise at inference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from walking_noise.config.run_config import RunConfig
from walking_noise.data import DataSet, validation_blocks
from walking_noise.evaluation.shared_prefix import BLOCK, SharedPrefix, WrapInjection
from walking_noise.models.noise_points import Inject
from walking_noise.noise.audit import mismatch
from walking_noise.pack.pack import Pack


@dataclass(frozen=True)
class Evaluation:
    """Result of one run in one pass over the validation set.

    Attributes
    ----------
    accuracy
        Share of samples that are classified correctly, in [0, 1]. Non-finite logits count as the constant answer.
    nonfinite
        Share of samples with non-finite logits.
    audit
        The measured spread of noise and signal in the first block; None if it was not measured.
    """

    accuracy: float
    nonfinite: float
    audit: dict[str, Any] | None = None


def unchanged(inject: Inject) -> Inject:
    """The :data:`WrapInjection` that returns the injection itself."""
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
    wrap_injection: WrapInjection = unchanged,
    group_size: int | None = None,
    after_batch: Callable[[], None] = lambda: None,
) -> list[Evaluation]:
    """Evaluate runs on members of a pack after ``epoch`` epochs: run i with the weights of ``members[i]``.

    Runs of the same member share its activations up to the noise point where their noise begins. There,
    ``wrap_injection`` sees the activations once.

    Parameters
    ----------
    group_size
        The most runs that pass through the layers as one; None: no limit.
    after_batch
        Called after each batch; may raise to stop.
    """
    device = data.validation_labels.device
    counts = torch.zeros(2, len(configs), dtype=torch.int64, device=device)
    pack.eval()
    prefix = SharedPrefix(
        pack, members, configs, epoch, wrap_injection=wrap_injection, audited=audited, group_size=group_size
    )
    for start, x, y in validation_blocks(data, BLOCK, device):
        counted = []
        for logits in prefix.logits(x.unsqueeze(0), start // BLOCK):
            counted.append(_count(logits, y, data.constant_answer))
            after_batch()
        counts += torch.cat(counted, 1)
    samples, audits = len(data.validation_labels), prefix.audits() if audited else {}
    evaluations = {
        run: Evaluation(correct / samples, nonfinite / samples, audits.get(run))
        for run, correct, nonfinite in zip(prefix.runs, *counts.tolist(), strict=True)
    }
    return [evaluations[run] for run in range(len(configs))]


def _count(logits: Tensor, labels: Tensor, constant_answer: int) -> Tensor:
    """Count the samples classified correctly and those with non-finite logits, ``(2, R)``.

    ``logits`` are ``(R, B, classes)``, ``labels`` are ``(B,)``.
    """
    nonfinite = (logits * 0).sum(-1) != 0
    answers = torch.where(nonfinite, constant_answer, logits.argmax(-1))
    return torch.stack([answers == labels, nonfinite]).sum(-1)


def audit_failure(evaluation: Evaluation, config: RunConfig) -> str | None:
    """How the noise injected at inference differs from the configured one; None if it does not."""
    return None if evaluation.audit is None else mismatch(evaluation.audit, config.levels, config.noise_kind.kurtosis)
