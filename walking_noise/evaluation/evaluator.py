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
    confusion: tuple[tuple[int, ...], ...] | None = None  # samples by class and by answer, if asked for


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
    wanted = any(config.evaluation.confusion for config in configs)
    pairs = torch.zeros(len(configs) if wanted else 0, data.classes**2, dtype=torch.int64, device=counts.device)
    pack.eval()
    prefix = SharedPrefix(
        pack, members, configs, epoch, wrap_injection=wrap_injection, audited=audited, group_size=group_size, data=data
    )
    for start, x, y in validation_blocks(data, BLOCK):
        answered = []
        for logits in prefix.logits(x.unsqueeze(0), start // BLOCK):
            answered.append(_answers(logits, data.constant_answer))
            after_batch()
        answers, nonfinite = (torch.cat(parts) for parts in zip(*answered, strict=True))
        counts += torch.stack([answers == y, nonfinite]).sum(-1)
        if wanted:
            pairs.scatter_add_(1, y * data.classes + answers, torch.ones_like(answers))
    samples, audits = len(data.validation_labels), prefix.audits() if audited else {}
    matrices = dict(zip(prefix.runs, pairs.view(-1, data.classes, data.classes).tolist(), strict=wanted))
    evaluations = {
        run: Evaluation(
            correct / samples,
            nonfinite / samples,
            audits.get(run),
            confusion=tuple(map(tuple, matrices[run])) if configs[run].evaluation.confusion else None,
        )
        for run, correct, nonfinite in zip(prefix.runs, *counts.tolist(), strict=True)
    }
    return [evaluations[run] for run in range(len(configs))]


def _answers(logits: Tensor, constant_answer: int) -> tuple[Tensor, Tensor]:
    """The answer for each sample, int64 ``(R, B)``, and whether its logits ``(R, B, classes)`` are not finite."""
    nonfinite = (logits * 0).sum(-1) != 0
    return torch.where(nonfinite, constant_answer, logits.argmax(-1)), nonfinite
