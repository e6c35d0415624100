"""Layer of a pack for a part of a network of several calls, for example a residual block."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.utils._pytree import tree_flatten, tree_map_only, tree_unflatten

from walking_noise.models.graph_layer import GraphLayer
from walking_noise.models.noise_points import Inject
from walking_noise.pack.layers.member_by_member import MemberByMember, own_copy, stack_outputs
from walking_noise.pack.stacking import expand_rows, flat_name, stack_parameters

ForwardLayers = Callable[[Sequence[nn.Module], Tensor, Inject, int], Tensor]
EXACT: Mapping[Any, Callable[..., Any]] = {
    operator.add: torch.add,
    operator.iadd: torch.add,
    operator.mul: torch.mul,
    operator.sub: torch.sub,
    operator.getitem: operator.getitem,
    torch.add: torch.add,
    torch.cat: torch.cat,
    torch.flatten: torch.flatten,
    torch.mul: torch.mul,
    torch.relu: torch.relu,
    F.relu: lambda x, inplace=False: torch.relu(x),
    **{name: getattr(torch.Tensor, name) for name in ("add", "flatten", "mul", "permute", "relu", "reshape", "sub")},
    **{name: getattr(torch.Tensor, name) for name in ("contiguous", "squeeze", "transpose", "unsqueeze")},
    "add_": torch.add,
    "relu_": torch.relu,
    "view": torch.Tensor.reshape,
}
"""Functions and methods that move numbers, or compute each from one of each operand; what is called in their place.

Their results and gradients are rounded in one way only, so vmap computes all members at once.
"""
OF_ONE_MEMBER = (getattr, "size", "dim", "numel")
"""Functions and methods that do not return tensors, but are equal for all members."""


class PackedGraph(nn.Module):
    """The part of a network of all members: modules in their packed form, exact functions by ``torch.vmap``.

    Other functions are computed member by member. A module that follows another in a chain is fused with it where that
    is possible.

    Parameters
    ----------
    members
        The part of each network.
    packed
        The packed layers of the modules that the graph calls, by their path.

    Attributes
    ----------
    parts
        The packed layers, with their keys in this module, by the path of the plain module.
    stacked
        The names of parameters and buffers that functions use directly, by their path in the plain network.
    """

    def __init__(self, members: Sequence[GraphLayer], packed: Mapping[str, nn.Module]) -> None:
        super().__init__()
        first = members[0]
        self._chains = list(_chains(first.graph))
        self._keys = {path: f"/{path.replace('.', '/')}" for path in packed}
        for path, layer in packed.items():
            self.add_module(self._keys[path], layer)
        self.stacked: dict[str, str] = {}
        self._constants: dict[str, Any] = {}
        for path in (node.target for node in first.graph.nodes if node.op == "get_attr"):
            values = [operator.attrgetter(path)(member) for member in members]
            name = f"/{flat_name(path)}"
            if isinstance(values[0], nn.Parameter):
                self.register_parameter(name, stack_parameters(values))
            elif isinstance(values[0], Tensor):
                self.register_buffer(name, torch.stack(values))
            else:
                self._constants[path] = values[0]
                continue
            self.stacked[path] = name

    @property
    def parts(self) -> dict[str, tuple[str, nn.Module]]:
        return {path: (key, self.get_submodule(key)) for path, key in self._keys.items()}

    @property
    def member_by_member(self) -> list[str]:
        """Paths of modules, and names of functions, that are computed one member after the other."""
        modules = [path for path, (_, part) in self.parts.items() if isinstance(part, MemberByMember)]
        functions = [
            node.target if isinstance(node.target, str) else node.target.__name__
            for node, *_ in self._chains
            if node.op in ("call_function", "call_method") and node.target not in (*EXACT, *OF_ONE_MEMBER)
        ]
        return [*modules, *(f"{name}()" for name in dict.fromkeys(functions))]

    def forward(self, x: Tensor, inject: Inject, members: int, forward_layers: ForwardLayers) -> Tensor:
        """The output ``(K, B, …)``, or fewer rows, for the input ``(K, B, …)``, or fewer rows if members share it.

        ``forward_layers`` computes consecutive layers (:mod:`walking_noise.pack.layers.forward`).
        """
        values: dict[fx.Node, Any] = {}
        for chain in self._chains:
            node = chain[0]
            arguments: Any = (node.args, node.kwargs)
            args, kwargs = fx.node.map_arg(arguments, values.__getitem__)
            if node.op == "placeholder":
                value: Any = x
            elif node.op == "output":
                y: Tensor = args[0]
                return y
            elif node.op == "get_attr":
                value = self._attribute(str(node.target))
            elif node.op == "call_module" and _has_one_tensor(args, kwargs):
                layers = [self.get_submodule(self._keys[str(call.target)]) for call in chain]
                value = forward_layers(layers, args[0], inject, members)
            else:
                args, kwargs = tree_map_only(Tensor, lambda each: expand_rows(members, each), (args, kwargs))
                if node.op == "call_module":
                    layer = self.get_submodule(self._keys[str(node.target)])
                    assert isinstance(layer, MemberByMember)
                    value = layer.compute(inject, args, kwargs, members)
                else:
                    value = _call(node.target, args, kwargs, members)
            values[chain[-1]] = value
        raise AssertionError("a graph ends in its output")

    def _attribute(self, path: str) -> Any:
        return getattr(self, self.stacked[path]) if path in self.stacked else self._constants[path]


def _chains(graph: fx.Graph) -> list[list[fx.Node]]:
    """The nodes of a graph; consecutive calls of modules that have one input, and one user each, are together."""
    chains: list[list[fx.Node]] = []
    for node in graph.nodes:
        before = chains[-1][-1] if chains else node
        follows = node.args == (before,) and not node.kwargs and len(before.users) == 1
        if follows and node.op == before.op == "call_module" and _has_one_tensor(chains[-1][0].args, {}):
            chains[-1].append(node)
        else:
            chains.append([node])
    return chains


def _has_one_tensor(args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    return len(args) == 1 and isinstance(args[0], Tensor | fx.Node) and not kwargs


def _call(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], members: int) -> Any:
    """The value of a function or method for all members; tensors in the arguments have a row for each."""
    leaves, structure = tree_flatten((args, kwargs))
    tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]

    def of(call: Callable[..., Any], *rows: Tensor) -> Any:
        remaining = iter(rows)
        filled = [next(remaining) if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        some, named = tree_unflatten(filled, structure)
        return call(*some, **named)

    plain = _method(function) if isinstance(function, str) else function
    if not tensors:  # a tensor such as zeros(shape) is one for all members
        return tree_map_only(Tensor, lambda one: one.expand(members, *one.shape), of(plain))
    if function in (operator.getitem, getattr) and not isinstance(args[0], Tensor):
        return of(plain, *tensors)
    if function in OF_ONE_MEMBER:
        value = of(plain, *(tensor[0] for tensor in tensors))
        if not any(isinstance(leaf, Tensor) for leaf in tree_flatten(value)[0]):
            return value
    alike = len({tensor.shape for tensor in tensors}) == 1
    if function is torch.cat or (function in EXACT and alike):
        return torch.vmap(lambda *rows: of(EXACT[function], *rows))(*tensors)
    outputs = [of(plain, *map(own_copy, rows)) for rows in zip(*(tensor.unbind(0) for tensor in tensors), strict=True)]
    return stack_outputs(outputs)


def _method(name: str) -> Callable[..., Any]:
    return lambda x, *args, **kwargs: getattr(x, name)(*args, **kwargs)
