"""Noise points in any network, without a change of its code: at the outputs of its modules and at residual sums.

A forward pass records which modules are called, which of them multiply and accumulate themselves, not in a module
within, and where two activations of one shape are added. Forward hooks then lead the outputs of the selected calls
through noise points. The point of a module's first call has the name of the module, that of its second call
``NAME#2``, and so on; a sum is named ``MODULE.sum`` after the module that adds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from walking_noise.errors import reason
from walking_noise.models.noise_points import BODY, NoisePoint
from walking_noise.models.operations import multiply_accumulates

RESIDUAL = "+residual"
SUMS = frozenset({torch.add, Tensor.add, Tensor.add_})
"""The functions that add tensors, also by operators."""


class Call(NamedTuple):
    """A call of a module in a forward pass, or a sum of two activations."""

    module: str  # dotted name; empty for the whole network; ``MODULE.sum`` for a sum
    number: int  # 1 for the first of this name
    multiplies: bool = False  # whether the module multiplies and accumulates itself
    innermost: bool = False  # whether the module has no submodules, or multiplies and accumulates besides them
    adds: bool = False  # whether it is a sum

    @property
    def name(self) -> str:
        """The name of its noise point."""
        return self.module if self.number == 1 else f"{self.module}#{self.number}"


class _Calls(TorchFunctionMode):
    """Follows the calls of the modules of a network, and the sums in them, within its ``with`` block.

    ``returned(module, number, output)`` is called with the name of the module, or of the sum, and the number of the
    call; what it returns replaces the output.
    """

    def __init__(self, network: nn.Module, returned: Callable[[str, int, Any], Any]) -> None:
        super().__init__()
        self.running: list[str] = []  # names of the running modules, the innermost last
        self._returned = returned
        self._numbers: Counter[str] = Counter()
        self._follows = True
        for name, module in network.named_modules():
            module.register_forward_pre_hook(partial(_Calls._enter, self, name))
            module.register_forward_hook(partial(_Calls._leave, self, name))

    def __enter__(self) -> Self:
        self.running.clear()
        self._numbers.clear()
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        if self._follows and function in SUMS and len(args) == 2 and self.running:
            first, second = args
            if isinstance(first, Tensor) and isinstance(second, Tensor) and first.shape == second.shape:
                passed = self._pass(".".join(filter(None, (self.running[-1], "sum"))), result)
                if passed is not result and function is Tensor.add_:  # the result of a statement is not used
                    result.copy_(passed)
                    return result
                return passed
        return result

    def _enter(self, name: str, module: nn.Module, _: Any) -> None:
        self.running.append(name)

    def _leave(self, name: str, module: nn.Module, _: Any, output: Any) -> Any:
        self.running.pop()
        return self._pass(name, output)

    def _pass(self, name: str, output: Any) -> Any:
        self._numbers[name] += 1
        self._follows = False  # noise is added at noise points
        try:
            return self._returned(name, self._numbers[name], output)
        finally:
            self._follows = True


class WithModulePoints(nn.Module):
    """A network whose modules lead their outputs through noise points, for the selected calls.

    The names of the calls begin with ``within``, the path of the network in a larger one.
    """

    def __init__(self, network: nn.Module, calls: tuple[Call, ...], within: str = "") -> None:
        super().__init__()
        self.add_module(BODY, network)
        self.noise_points = nn.ModuleList([NoisePoint(call.name) for call in calls])
        prefix = f"{within}." if within else ""
        self._point_of = {(call.module.removeprefix(prefix), call.number): index for index, call in enumerate(calls)}
        self._calls = _Calls(network, partial(WithModulePoints._through_point, self))

    def forward(self, x: Tensor) -> Any:
        with self._calls:
            return self.get_submodule(BODY)(x)

    def _through_point(self, module: str, number: int, output: Any) -> Any:
        """The output of a call, through its noise point if it has one."""
        index = self._point_of.get((module, number))
        if index is None:
            return output
        point = self.noise_points[index]
        if isinstance(output, tuple) and hasattr(output, "_replace"):
            return output._replace(**{output._fields[0]: point(output[0])})  # type: ignore[attr-defined]
        if isinstance(output, tuple):  # attention returns its weights, too
            return point(output[0]), *output[1:]
        return point(output)


class _Recorder(TorchDispatchMode):
    """Recorder of the calls of a network and of the multiply-accumulates of each, within its ``with`` block."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[Call] = []
        self._modules = dict(network.named_modules())
        self._multiplied: Counter[str] = Counter()  # by running module, without those of modules within
        self._following = _Calls(network, self._record)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Whether torch wraps the mode for ``torch.compile``, for which it would import ``torch._dynamo``."""
        return False

    def __enter__(self) -> Self:
        self._following.__enter__()
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        self._following.__exit__(*error)  # type: ignore[no-untyped-call]

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = operation(*args, **(kwargs or {}))
        if self._following.running:
            self._multiplied[self._following.running[-1]] += multiply_accumulates(operation, args, result)
        return result

    def _record(self, name: str, number: int, output: Any) -> Any:
        module = self._modules.get(name)
        if module is None:
            self.calls.append(Call(name, number, adds=True))
            return output
        multiplies = self._multiplied.pop(name, 0) > 0 or isinstance(module, nn.RNNBase)
        innermost = not any(True for _ in module.children()) and not isinstance(module, nn.Flatten | nn.Identity)
        self.calls.append(Call(name, number, multiplies, multiplies or innermost))
        return output


@contextmanager
def calling_every_module() -> Iterator[None]:
    """Disable torch's fused attention at inference, which does not call the modules in an encoder layer."""
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)


def record_calls(network: nn.Module, samples: Tensor) -> list[Call]:
    """The calls and sums in a forward pass of ``samples``, in the order in which they return.

    The network keeps hooks of the recorder, and BatchNorm in training mode updates its statistics: pass a copy. Raise
    ValueError if the forward pass fails.
    """
    recorder = _Recorder(network)
    try:
        with torch.no_grad(), recorder:
            network(samples)
    except Exception as error:
        raise ValueError(f"its forward pass fails ({reason(error)})") from error
    return recorder.calls


def select_calls(calls: Sequence[Call], selected: str) -> tuple[Call, ...]:
    """The calls whose outputs get noise points; raise ValueError if there is none.

    ``selected`` is ``products`` (modules that multiply and accumulate themselves), ``modules`` (those, and those
    without submodules) or a pattern of names; with ``+residual`` behind it, sums of two activations, too.
    """
    kinds, _, _ = selected.partition(RESIDUAL)
    fits: dict[str, Callable[[Call], bool]] = {
        "products": lambda one: one.multiplies,
        "modules": lambda one: one.innermost,
    }

    def by_pattern(call: Call) -> bool:
        return bool(call.name) and fnmatchcase(call.name, kinds)

    chosen = fits.get(kinds, by_pattern)
    found = tuple(call for call in calls if chosen(call) or (call.adds and selected.endswith(RESIDUAL)))
    if not found:
        names = ", ".join(call.name for call in calls if call.name)
        raise ValueError(f"model.points {selected!r} selects none of its modules and sums: {names}")
    return found
