"""Inference-only evaluation: one evaluation on the validation set for each run, on trained networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from walking_noise.data import DataSet
from walking_noise.errors import Stopped, ran_out_of_memory
from walking_noise.evaluation.evaluator import Evaluation, evaluate
from walking_noise.pack.pack import Pack
from walking_noise.pack.partition import split_evenly
from walking_noise.pack.stacking import load_states
from walking_noise.runtime.planner import PlannedTraining
from walking_noise.runtime.results import Failure, failure_of
from walking_noise.runtime.run_context import RunContext
from walking_noise.runtime.sizing import capacity
from walking_noise.training.member import TrainedNetwork


class InferenceOnlyEvaluation:
    """Evaluates the inference-only runs of one pack. A run that fails does not affect the others.

    ``networks`` are the trained networks of ``trainings``, in the same order. ``after_batch`` is called after each
    batch, and may raise :class:`Stopped`.
    """

    def __init__(
        self,
        context: RunContext,
        trainings: Sequence[PlannedTraining],
        networks: Sequence[TrainedNetwork],
        data: DataSet,
        after_batch: Callable[[], None],
    ) -> None:
        self.context, self.data, self.after_batch = context, data, after_batch
        self.pack = Pack([trainings[0].config.initial_network()] * len(networks)).to(context.device)
        load_states(self.pack.stacked_state(), [network.state for network in networks])

    def evaluate(self, runs: Sequence[tuple[int, int]]) -> dict[int, Evaluation | Failure]:
        """Evaluate runs, given as (member of the pack, index of the run): all at once, and in halves if that fails.

        Return the evaluation or the failure of each run, by index.
        """
        members, indices = zip(*runs, strict=True)
        try:
            return dict(zip(indices, self._evaluate_together(members, indices), strict=True))
        except (Stopped, torch.AcceleratorError):  # after the latter the device is unusable
            raise
        except Exception as error:
            failure = failure_of(error)
        if len(runs) == 1:
            return {indices[0]: failure}
        middle = len(runs) // 2
        return self.evaluate(runs[:middle]) | self.evaluate(runs[middle:])

    def _evaluate_together(self, members: Sequence[int], indices: Sequence[int]) -> list[Evaluation]:
        """Evaluate all these runs, in groups that fit in memory."""
        configs, limits = [self.context.configs[index] for index in indices], self.context.memory_limits
        kind, epochs = ("runs evaluated", configs[0].pack_key), configs[0].training.epochs
        group_size = min(len(configs), capacity.evaluation_group_size(configs[0], self.context.device))
        size = limits.limit(*kind, group_size)
        draws = [
            (run, draw)
            for run, config in enumerate(configs)
            for draw in range(config.evaluation.noise_draws if config.noisy else 1)
        ]
        on_weights = any(config.noise.target == "weights" for config in configs)  # their copies fill the memory
        of_runs: list[list[Evaluation]] = [[] for _ in configs]
        try:
            for part in split_evenly(draws, size if on_weights else len(draws)):
                evaluations = evaluate(
                    self.pack,
                    [members[run] for run, _ in part],
                    [configs[run].with_draw(draw) for run, draw in part],
                    self.data,
                    epochs,
                    audited=True,
                    group_size=size,
                    after_batch=self.after_batch,
                )
                for (run, _), evaluation in zip(part, evaluations, strict=True):
                    of_runs[run].append(evaluation)
            return [_mean(of_run) for of_run in of_runs]
        except Exception as error:
            if size == 1 or not ran_out_of_memory(error):
                raise
        limits.halve(*kind, size)
        return self._evaluate_together(members, indices)


def _mean(draws: Sequence[Evaluation]) -> Evaluation:
    """The mean of a run's evaluations with independent draws. Noise and signal are those of the first one."""
    if len(draws) == 1:
        return draws[0]
    accuracies = tuple(one.accuracy for one in draws)
    nonfinite = sum(one.nonfinite for one in draws) / len(draws)
    matrices = [one.confusion for one in draws if one.confusion is not None]
    summed = tuple(tuple(map(sum, zip(*rows, strict=True))) for rows in zip(*matrices, strict=True)) or None
    return Evaluation(sum(accuracies) / len(draws), nonfinite, draws[0].audit, accuracies, summed)
