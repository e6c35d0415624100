"""Evaluator: accuracy of runs on the validation set, with each run's noise at inference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from walking_noise.config.run_config import RunConfig
from walking_noise.data import DataSet
from walking_noise.data.batches import validation_blocks
from walking_noise.evaluation.shared_prefix import BLOCK, SharedPrefix, WrapInjection, unchanged
from walking_noise.pack.pack import Pack


@dataclass(frozen=True)
class Evaluation:
    """Result of evaluating one run once on the validation set.

    A sample with non-finite logits is classified by the constant answer of the data set.
    """

    accuracy: float  # fraction of samples that are classified correctly, in [0, 1]
    nonfinite: float  # fraction of samples with non-finite logits
    audit: dict[str, Any] | None = None  # standard deviations of noise and signal in the first block, if measured
    draws: tuple[float, ...] = ()  # the accuracy with each of several independent draws; ``accuracy`` is their mean


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
    """Evaluate run i with the weights of member ``members[i]`` of a pack, after ``epoch`` epochs of training.

    Runs that use the same member share its activations up to the noise point where their noise begins.

    Parameters
    ----------
    audited
        Whether to measure noise and signal in the first block.
    wrap_injection
        Replaces the injection of each group of runs. Shared activations pass through it once, not once per run.
    group_size
        The maximum number of runs that pass through the layers together; None: no limit.
    after_batch
        Called after each batch; may raise to stop.
    """
    counts = torch.zeros(2, len(configs), dtype=torch.int64, device=data.validation_labels.device)
    pack.eval()
    prefix = SharedPrefix(
        pack, members, configs, epoch, wrap_injection=wrap_injection, audited=audited, group_size=group_size, data=data
    )
    for start, x, y in validation_blocks(data, BLOCK):
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
