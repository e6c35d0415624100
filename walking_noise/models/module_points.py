"""Noise points at the outputs of the modules of any network, without a change of its code.

A forward pass records which modules are called and which of them multiply and accumulate themselves, not in a module
within. Forward hooks then lead the outputs of the selected calls through noise points. The point of a module's first
call has the name of the module, that of its second call ``NAME#2``, and so on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from walking_noise.models.noise_points import BODY, NoisePoint
from walking_noise.models.operations import multiply_accumulates

SAMPLES = 2
"""Samples in the forward pass; BatchNorm cannot train on a single one."""


class Call(NamedTuple):
    """A call of a module in a forward pass."""

    module: str  # dotted name; empty for the whole network
    number: int  # 1 for the first call of this module
    multiplies: bool  # whether it multiplies and accumulates itself
    innermost: bool  # whether the module has no submodules, or multiplies and accumulates besides them

    @property
    def name(self) -> str:
        """The name of its noise point."""
        return self.module if self.number == 1 else f"{self.module}#{self.number}"


class WithModulePoints(nn.Module):
    """A network whose modules lead their outputs through noise points, for the selected calls."""

    def __init__(self, network: nn.Module, calls: tuple[Call, ...]) -> None:
        super().__init__()
        self.add_module(BODY, network)
        self.noise_points = nn.ModuleList([NoisePoint(call.name) for call in calls])
        self._point_of = {(call.module, call.number): index for index, call in enumerate(calls)}
        self._called: Counter[str] = Counter()
        modules = dict(network.named_modules())
        for name in dict.fromkeys(call.module for call in calls):
            modules[name].register_forward_hook(partial(WithModulePoints._through_point, self, name))

    def forward(self, x: Tensor) -> Any:
        self._called.clear()
        return self.get_submodule(BODY)(x)

    def _through_point(self, name: str, module: nn.Module, _: Any, output: Any) -> Any:
        """Forward hook: the output of this call, through its noise point if it has one."""
        self._called[name] += 1
        index = self._point_of.get((name, self._called[name]))
        if index is None:
            return output
        point = self.noise_points[index]
        if isinstance(output, tuple):  # attention returns its weights, too
            return point(output[0]), *output[1:]
        return point(output)


def record_calls(network: nn.Module, inputs: tuple[int, ...]) -> list[Call]:
    """The calls of all modules in a forward pass of samples of shape ``inputs``, in the order in which they return."""
    recorder = _CallRecorder(network)
    with torch.no_grad(), recorder:
        network.train()(torch.zeros(SAMPLES, *inputs))
    return recorder.calls


def select_calls(calls: list[Call], selected: str) -> tuple[Call, ...]:
    """The calls whose outputs get noise points; raise ValueError if there is none.

    ``selected`` is ``products`` (modules that multiply and accumulate themselves), ``modules`` (those without
    submodules, and those) or a pattern of module names.
    """
    choose: Callable[[Call], bool]
    match selected:
        case "products":
            choose = lambda call: call.multiplies  # noqa: E731
        case "modules":
            choose = lambda call: call.innermost  # noqa: E731
        case pattern:
            choose = lambda call: fnmatchcase(call.module, pattern)  # noqa: E731
    found = tuple(call for call in calls if choose(call))
    if not found:
        names = ", ".join(dict.fromkeys(call.module for call in calls if call.module))
        raise ValueError(f"model.points {selected!r} selects none of its modules: {names}")
    return found


class _CallRecorder(TorchDispatchMode):
    """Recorder of the calls of the modules of a network, within its ``with`` block."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[Call] = []
        self._numbers: Counter[str] = Counter()
        self._own = [0]  # multiply-accumulates of the running modules, without those of modules within
        self._hooks = []
        for name, module in network.named_modules():
            self._hooks.append(module.register_forward_pre_hook(lambda module, _: self._own.append(0)))
            self._hooks.append(module.register_forward_hook(partial(self._returned, name)))

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Whether torch wraps the mode for ``torch.compile``, for which it would import ``torch._dynamo``."""
        return False

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        for hook in self._hooks:
            hook.remove()

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = operation(*args, **(kwargs or {}))
        self._own[-1] += multiply_accumulates(operation, args, result)
        return result

    def _returned(self, name: str, module: nn.Module, _: Any, output: Any) -> None:
        self._numbers[name] += 1
        multiplies = self._own.pop() > 0
        innermost = not any(True for _ in module.children()) and not isinstance(module, nn.Flatten | nn.Identity)
        self.calls.append(Call(name, self._numbers[name], multiplies, multiplies or innermost))
