"""Recorder of a forward pass: its noise points, and the values that it computes.

The pass runs on the CPU. The meta device needs no weights, but most of its operations import ``torch._dynamo``, which
takes seconds.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from walking_noise.models.noise_points import NoisePoint, Point

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)

_NOT_RANDOM = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
"""Tagged as random, but called without dropout only."""


class ForwardRecorder(TorchDispatchMode):
    """Recorder of the operations and the noise points of a network, within its ``with`` block.

    Attributes
    ----------
    points
        The noise points that the forward pass reached, in this order.
    activations
        Number of values that it computed for all samples, the outputs of noise points included.

    Raises
    ------
    ValueError
        The forward pass draws random numbers, or depends on the values of a tensor.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.points: list[Point] = []
        self.activations = 0
        self._network = network
        self._hooks = ExitStack()
        self._batch_norm_output: Tensor | None = None

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Whether torch wraps the mode for ``torch.compile``, for which it would import ``torch._dynamo``."""
        return False

    def __enter__(self) -> Self:
        for module in self._network.modules():
            self._hooks.enter_context(module.register_forward_hook(self._after))
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        self._hooks.close()

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        _check_operation(operation)
        result = operation(*args, **(kwargs or {}))
        if result is self._batch_norm_output:  # changed in place by this operation
            self._batch_norm_output = None
        if not operation.is_view:
            outputs = result if isinstance(result, tuple) else (result,)
            self.activations += sum(output.numel() for output in outputs if isinstance(output, Tensor))
        return result

    def _after(self, module: nn.Module, _: Any, y: Any) -> None:
        """Forward hook that records noise points and outputs of BatchNorm layers."""
        if isinstance(module, NoisePoint):
            if not isinstance(y, Tensor):
                raise ValueError(f"the input of noise point {module.name!r} is a {type(y).__name__}, not a tensor")
            after_batch_norm = module.after_batch_norm or y is self._batch_norm_output
            self.points.append(Point(len(self.points), module.name, after_batch_norm))
            self.activations += y.numel()
        elif isinstance(module, BATCH_NORMS):
            self._batch_norm_output = y


def _check_operation(operation: Any) -> None:
    """Raise ValueError for an operation with which the numbers of a run would depend on its pack."""
    if torch.Tag.nondeterministic_seeded in operation.tags and operation.overloadpacket is not _NOT_RANDOM:
        fault = f"its forward pass draws random numbers ({operation.overloadpacket}), which would depend on the pack"
        raise ValueError(f"{fault}; remove dropout and other random layers")
    if not {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}.isdisjoint(operation.tags):
        fault = f"its forward pass depends on the values of a tensor ({operation.overloadpacket})"
        raise ValueError(f"{fault}; shapes and branches must be equal for all samples")
