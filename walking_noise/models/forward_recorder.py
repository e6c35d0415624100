"""Recorder of a forward pass: its noise points with the layers that they follow, and the values that it computes.

The pass runs on the CPU. The meta device needs no weights, but most of its operations import ``torch._dynamo``, which
takes seconds.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import reduce
from operator import and_, or_
from typing import Any, NamedTuple, Self

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from walking_noise.models.noise_points import BODY, NoisePoint
from walking_noise.models.operations import check_operation, moves_values, multiply_accumulates, terms
from walking_noise.models.point import Point

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def _without_bodies(name: str) -> str:
    """The name of a module without the containers around the model."""
    while name.startswith(f"{BODY}."):
        name = name.removeprefix(f"{BODY}.")
    return name


class Layer(NamedTuple):
    """A module that returned a tensor, with its multiply-accumulates for all samples."""

    name: str | None
    parameters: int
    multiply_accumulates: int
    batch_norm: bool


NO_LAYER = Layer(None, 0, 0, False)


class ForwardRecorder(TorchDispatchMode):
    """Recorder of the operations and the noise points of a network, within its ``with`` block.

    Attributes
    ----------
    points
        The noise points that the forward pass reached, in this order.
    shapes
        The shape of the values of one sample at each of them.
    activations
        Number of values that it computed for all samples, the outputs of noise points included.

    Raises
    ------
    ValueError
        The forward pass draws random numbers, or depends on the values of a tensor.
    """

    def __init__(self, network: nn.Module, samples: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.points: list[Point] = []
        self.shapes: list[tuple[int, ...]] = []
        self.activations = 0
        self._samples = samples
        self._names = {module: _without_bodies(name) for name, module in network.named_modules()}
        self._hooks = ExitStack()
        self._layers = WeakIdKeyDictionary()  # tensor -> the layer that returned it
        self._before_tensor = WeakIdKeyDictionary()  # tensor -> the numbers of the noise points before it, as bits
        self._before_terms = WeakIdKeyDictionary()  # sum of two activations -> those before both
        self._multiply_accumulates = 0
        self._at_start: list[int] = []  # multiply-accumulates before each of the running modules, the innermost last

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Whether torch wraps the mode for ``torch.compile``, for which it would import ``torch._dynamo``."""
        return False

    def __enter__(self) -> Self:
        for module in self._names:
            self._hooks.enter_context(module.register_forward_pre_hook(self._before))
            self._hooks.enter_context(module.register_forward_hook(self._after, prepend=True))
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        self._hooks.close()

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        check_operation(operation)
        before = [self._before_tensor.get(each, 0) for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
        added = [self._before_tensor.get(term, 0) for term in terms(operation, args) or ()]
        result = operation(*args, **(kwargs or {}))
        outputs = [output for output in tree_leaves(result) if isinstance(output, Tensor)]
        for output in outputs:
            self._layers.pop(output, None)  # changed in place by this operation
            self._before_tensor[output] = reduce(or_, before, 0)
            self._before_terms[output] = reduce(and_, added) if added else 0
            if moves_values(operation) and (layer := self._layers.get(args[0])):
                self._layers[output] = layer._replace(batch_norm=False)  # a reshaped BatchNorm has to be declared
        if not operation.is_view:
            self.activations += sum(output.numel() for output in outputs)
        self._multiply_accumulates += multiply_accumulates(operation, args, result)
        return result

    def _before(self, module: nn.Module, _: Any) -> None:
        self._at_start.append(self._multiply_accumulates)

    def _after(self, module: nn.Module, _: Any, y: Any) -> None:
        """Forward hook that records noise points, and the tensors that other modules return."""
        multiplied = self._multiply_accumulates - self._at_start.pop()
        if isinstance(module, NoisePoint):
            self._reach(module, y)
            return
        parameters = sum(parameter.numel() for parameter in module.parameters())
        layer = Layer(self._names[module], parameters, multiplied, isinstance(module, BATCH_NORMS))
        for tensor in tree_leaves(y):
            if isinstance(tensor, Tensor):
                self._layers.setdefault(tensor, layer)

    def _reach(self, module: NoisePoint, y: Any) -> None:
        if not isinstance(y, Tensor):
            raise ValueError(f"the input of noise point {module.name!r} is a {type(y).__name__}, not a tensor")
        layer: Layer = self._layers.get(y, NO_LAYER)
        number, shape = len(self.points), tuple(y.shape[1:])
        begin = self._before_terms.get(y, 0).bit_length() - 1
        point = Point(
            number,
            module.name,
            module.after_batch_norm or layer.batch_norm,
            layer.name,
            layer.parameters,
            layer.multiply_accumulates // self._samples,
            begin if begin >= 0 else None,
            begin >= 0 and shape != self.shapes[begin],
        )
        self.points.append(point)
        self.shapes.append(shape)
        self.activations += y.numel()
        self._before_tensor[y] = self._before_tensor.get(y, 0) | 1 << number
