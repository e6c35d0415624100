"""A training step that a GPU replays: recorded once as a CUDA graph, launched as a whole from then on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, Protocol

import torch
from torch import Tensor

from walking_noise.errors import ran_out_of_memory
from walking_noise.noise.audit import Audit
from walking_noise.training.step import TrainingStep

WARM_UP_STEPS = 3
"""Steps done on the recording stream before one is recorded: kernels are compiled, libraries take their work space."""

Work = Callable[[], None]


class GraphRecorder(Protocol):
    """Records work on tensors that stay where they are."""

    def warm_up(self, work: Work) -> None:
        """Do the work as it will be recorded."""

    def record(self, work: Work) -> Work:
        """Something that does the work each time it is called; the work is not done by recording it."""


class CudaGraphs:
    """Records on a GPU. A graph's memory is a pool of its own, which ends with the graph."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.stream = device, _recording_stream(device)

    def warm_up(self, work: Work) -> None:
        current = torch.cuda.current_stream(self.device)
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream):
            work()
        current.wait_stream(self.stream)

    def record(self, work: Work) -> Work:
        pooled = _graph_in_a_pool()
        with torch.cuda.stream(self.stream), pooled as (graph, pool), torch.cuda.graph(graph, pool, self.stream):
            work()
        return graph.replay


class GraphedStep:
    """A step whose whole batches are replayed; those of another size, and audited ones, are done by the step itself.

    The first whole batches warm up, and are steps of the training like all others. Where a step cannot be recorded it
    is done as ever; only the lack of memory is an error, since a smaller pack may have enough.

    Parameters
    ----------
    batch_size
        Samples in a whole batch.
    """

    def __init__(self, step: TrainingStep, batch_size: int, recorder: GraphRecorder) -> None:
        self.step, self.batch_size, self.recorder = step, batch_size, recorder
        self._warm_up = WARM_UP_STEPS
        self._replay: Work | None = None
        self._recordable = True

    def __call__(self, x: Tensor, y: Tensor, audit: Audit | None = None) -> None:
        """As the step."""
        if audit is not None or y.shape[1] != self.batch_size or not self._recordable:
            self.step(x, y, audit)
        elif self._warm_up:
            self._warm_up -= 1
            self.recorder.warm_up(lambda: self.step(x, y))
        else:
            self._replay_on(x, y)

    def _replay_on(self, x: Tensor, y: Tensor) -> None:
        if self._replay is None:
            self._x, self._y = x.clone(), y.clone()
            self._replay = self._recorded()
        if self._replay is None:
            self.step(x, y)
            return
        self._x.copy_(x)
        self._y.copy_(y)
        self._replay()

    def _recorded(self) -> Work | None:
        step, x, y = self.step, self._x, self._y
        try:
            return self.recorder.record(lambda: step(x, y))
        except Exception as error:
            _raise_lack_of_memory(error)
            self._recordable = False
            print(
                f"the training step is launched kernel by kernel, as it could not be recorded: {error}", file=sys.stderr
            )
            return None


def graphed(step: TrainingStep, batch_size: int, device: torch.device) -> TrainingStep | GraphedStep:
    """The step as a GPU replays it, or as it is on a CPU or where its noise draws from a generator's state."""
    if device.type != "cuda" or not step.noise.capturable:
        return step
    return GraphedStep(step, batch_size, CudaGraphs(device))


def _raise_lack_of_memory(error: BaseException | None) -> None:
    """Ending a recording that failed is an error of its own, behind which the first one is found."""
    while error is not None:
        if isinstance(error, Exception) and ran_out_of_memory(error):
            raise error from None
        error = error.__context__


@contextmanager
def _graph_in_a_pool() -> Iterator[tuple[torch.cuda.CUDAGraph, Any]]:
    """A graph to be captured, and the pool for its memory.

    torch leaves the pool of a capture that could not even be ended as one in use, and gives no memory back any more.
    """
    graph, pool = torch.cuda.CUDAGraph(), torch.cuda.graph_pool_handle()
    try:
        yield graph, pool
    except Exception:
        if not _was_ended(graph):
            for leave in (torch._C._cuda_endAllocateToPool, torch._C._cuda_releasePool):
                with suppress(RuntimeError):  # it had not begun
                    leave(torch.cuda.current_device(), pool)
        raise


def _was_ended(graph: torch.cuda.CUDAGraph) -> bool:
    """Whether the graph releases its pool by itself; before, it does not tell it."""
    try:
        graph.pool()
    except RuntimeError:
        return False
    return True


@cache
def _recording_stream(device: torch.device) -> torch.cuda.Stream:
    """One for all recordings: libraries keep work space for every stream they have seen."""
    return torch.cuda.Stream(device)
