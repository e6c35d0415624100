"""CUDA graph of a training step: captured once, then replayed as a whole instead of launched kernel by kernel."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import torch
from torch import Tensor

from walking_noise.errors import ran_out_of_memory
from walking_noise.noise.audit import Audit

WARM_UP_STEPS = 3
"""Steps on the capture stream before the capture. In them kernels are compiled and libraries allocate workspaces."""

Work = Callable[[], None]
"""Launches kernels on tensors whose addresses do not change."""

Step = Callable[[Tensor, Tensor, Audit | None], None]
"""A training step: inputs, labels, and the audit that measures the noise (:meth:`PackTrainer.step`)."""


class CudaGraphRecorder:
    """Records work as CUDA graphs. Each graph has a memory pool of its own, which is freed with the graph."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.stream = device, _capture_stream(device)

    def warm_up(self, work: Work) -> None:
        """Do the work once, under the conditions under which it will be recorded."""
        current = torch.cuda.current_stream(self.device)
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream):
            work()
        current.wait_stream(self.stream)

    def record(self, work: Work) -> Work:
        """Record the work without doing it. Return a function that does it at each call."""
        pooled = _graph_in_a_pool()
        with torch.cuda.stream(self.stream), pooled as (graph, pool), torch.cuda.graph(graph, pool, self.stream):
            work()
        return graph.replay


class GraphedStep:
    """Replays a training step on batches of ``batch_size`` samples. On shorter and on audited ones it calls the step.

    The step is an argument of each call and is not kept, so that the memory of its trainer is freed with the trainer.

    The first full batches warm up; they train the pack like all others. If the step cannot be recorded, the step itself
    is called on every batch. Running out of memory is raised, since a smaller pack may fit.
    """

    def __init__(self, batch_size: int, recorder: CudaGraphRecorder) -> None:
        self.batch_size, self.recorder = batch_size, recorder
        self._warm_up = WARM_UP_STEPS
        self._replay: Work | None = None
        self._recordable = True

    def __call__(self, step: Step, x: Tensor, y: Tensor, audit: Audit | None = None) -> None:
        """Train on a batch, as ``step(x, y, audit)`` does."""
        if audit is not None or y.shape[1] != self.batch_size or not self._recordable:
            step(x, y, audit)
        elif self._warm_up:
            self._warm_up -= 1
            self.recorder.warm_up(lambda: step(x, y, None))
        else:
            self._replay_on(step, x, y)

    def _replay_on(self, step: Step, x: Tensor, y: Tensor) -> None:
        if self._replay is None:
            self._x, self._y = x.clone(), y.clone()
            self._replay = self._record(step)
        if self._replay is None:
            step(x, y, None)
            return
        self._x.copy_(x)
        self._y.copy_(y)
        self._replay()

    def _record(self, step: Step) -> Work | None:
        """Record the step on the tensors of its batch; None if it cannot be recorded."""
        x, y = self._x, self._y
        try:
            return self.recorder.record(lambda: step(x, y, None))
        except Exception as error:
            _raise_if_out_of_memory(error)
            self._recordable = False
            message = f"no CUDA graph of the training step ({error}); the step is launched kernel by kernel"
            print(message, file=sys.stderr)
            return None


def _raise_if_out_of_memory(error: BaseException | None) -> None:
    """Raise the out-of-memory error in this chain of exceptions, if there is one.

    Ending a failed capture raises another exception, whose context is the first one.
    """
    while error is not None:
        if isinstance(error, Exception) and ran_out_of_memory(error):
            raise error from None
        error = error.__context__


@contextmanager
def _graph_in_a_pool() -> Iterator[tuple[torch.cuda.CUDAGraph, Any]]:
    """An empty graph, and the memory pool for its capture.

    If a capture fails so early that torch cannot end it, torch keeps its pool marked as in use, and from then on frees
    no memory. The pool is released here.
    """
    graph, pool = torch.cuda.CUDAGraph(), torch.cuda.graph_pool_handle()
    try:
        yield graph, pool
    except Exception:
        if not _capture_ended(graph):
            for release in (torch._C._cuda_endAllocateToPool, torch._C._cuda_releasePool):
                with suppress(RuntimeError):  # the capture had not begun
                    release(torch.cuda.current_device(), pool)
        raise


def _capture_ended(graph: torch.cuda.CUDAGraph) -> bool:
    """Whether the capture has ended. Then the graph has a pool, and releases it itself."""
    try:
        graph.pool()
    except RuntimeError:
        return False
    return True


@cache
def _capture_stream(device: torch.device) -> torch.cuda.Stream:
    """The stream of all captures. There is only one, since libraries keep a workspace for every stream."""
    return torch.cuda.Stream(device)
