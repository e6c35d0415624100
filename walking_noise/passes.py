"""Passes over the validation set by runs with noise at inference only, through networks that are trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from walking_noise import capacity
from walking_noise.data import DataSet
from walking_noise.errors import Stopped
from walking_noise.evaluation import Evaluation, evaluate
from walking_noise.job import Job
from walking_noise.memory_limits import ran_out_of_memory
from walking_noise.pack import Pack, initialised
from walking_noise.packing import Training
from walking_noise.results import Failure, failure_of
from walking_noise.stacks import put_together
from walking_noise.trainee import Trained


class Passes:
    """One pass for each run; one that fails does so alone.

    Parameters
    ----------
    trainings, networks
        Those of one pack, and what came of them.
    check
        Called between batches; may raise :class:`Stopped`.
    """

    def __init__(
        self,
        trainings: Sequence[Training],
        networks: Sequence[Trained],
        job: Job,
        data: DataSet,
        check: Callable[[], None],
    ) -> None:
        self.job, self.data, self.check = job, data, check
        self.pack = Pack([initialised(trainings[0].config)] * len(networks)).to(job.device)
        put_together(self.pack.stacked_state(), [network.state for network in networks])

    def of(self, runs: Sequence[tuple[int, int]]) -> dict[int, Evaluation | Failure]:
        """By index what runs, given by member of the pack and index, end with: all at once, in halves if that fails."""
        members, indices = zip(*runs, strict=True)
        try:
            return dict(zip(indices, self._evaluated(members, indices), strict=True))
        except (Stopped, torch.AcceleratorError):  # after the latter the device is of no use to any run
            raise
        except Exception as error:
            failure = failure_of(error)
        if len(runs) == 1:
            return {indices[0]: failure}
        middle = len(runs) // 2
        return self.of(runs[:middle]) | self.of(runs[middle:])

    def _evaluated(self, members: Sequence[int], indices: Sequence[int]) -> list[Evaluation]:
        """One pass of each run, with as many of them in the layers at once as fit in memory."""
        configs, limits = [self.job.configs[index] for index in indices], self.job.memory_limits
        what, epochs = ("runs evaluated", configs[0].pack_key), configs[0].training.epochs
        together = limits.most(*what, min(len(configs), capacity.evaluated_together(configs[0], self.job.device)))
        try:
            return evaluate(
                self.pack, members, configs, self.data, epochs, audited=True, together=together, check=self.check
            )
        except Exception as error:
            if together == 1 or not ran_out_of_memory(error):
                raise
        limits.halve(*what, together)
        return self._evaluated(members, indices)
