"""Layers of any network, found by torch.fx, so that a pack can compute each of them in its packed form.

The forward pass is recorded as a graph of calls. The graph is cut wherever a single tensor leads on. A part that is
the call of one module is that module; any other part, for example a residual block, is a :class:`GraphLayer`.
"""

from __future__ import annotations

import copy
import operator
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from walking_noise.models.graph_layer import GraphLayer
from walking_noise.models.module_points import Call, WithModulePoints
from walking_noise.models.noise_points import NoisePoint
from walking_noise.models.trace_check import UntraceableError, check_equal

POINTS = "noise points"
"""Name of the container of the noise points in a traced network; no attribute of a class has this name."""
SUMS = frozenset({operator.add, operator.iadd, torch.add, "add", "add_"})
IN_PLACE = frozenset({operator.iadd, operator.imul, operator.isub})
OWN_MEMORY = frozenset({*SUMS, operator.mul, operator.sub, torch.mul, torch.cat, "mul", "sub"})
"""Functions and methods whose result is no view of an operand."""
VIEWS = (nn.Flatten, nn.Unflatten, nn.Identity, nn.Dropout, NoisePoint)
"""Modules whose result may be a view of their input."""


class _Part(NamedTuple):
    """Consecutive calls with one input and one output."""

    name: str
    graph: fx.Graph
    module: str | None  # path of the module if they are its call
    function: nn.Module | None  # a module that computes the same if they are the call of a function


class TracedLayers:
    """The layers of the networks of one architecture.

    Parameters
    ----------
    network
        A network of the architecture.
    calls
        The calls and sums whose outputs get noise points; none if the network places its own.
    samples
        Samples of a data set, ``(B, …)``.

    Raises
    ------
    UntraceableError
        The forward pass depends on more than the graph of its calls, or torch.fx cannot record it.
    """

    def __init__(self, network: nn.Module, calls: Sequence[Call], samples: Tensor) -> None:
        self._calls = calls
        try:
            tracer = _Tracer(calls)
            graph = tracer.trace(_with_one_input(copy.deepcopy(network)))
            self._within_leaves = dict(tracer.within_leaves)
            prepared = self._with_points(copy.deepcopy(network))
            shapes = _Shapes(prepared, graph)
            shapes.run(samples)
            _add_sum_points(graph, shapes, calls)
            _refuse_changes_in_place(graph, prepared)
            self._parts = list(_parts(graph, prepared, shapes, len(samples)))
            reached = check_equal(network, self.of, samples)
        except UntraceableError:
            raise
        except Exception as error:  # a forward pass can contain any Python code
            raise UntraceableError(str(error)) from error
        if calls and reached != [call.name for call in calls]:
            raise UntraceableError("it reaches its noise points in another order")

    def of(self, network: nn.Module) -> nn.Sequential:
        """The layers, with noise points, of a network of the architecture; they share its parameters."""
        network = self._with_points(network)
        layers = OrderedDict[str, nn.Module]()
        for part in self._parts:
            if part.function is not None:
                layers[part.name] = copy.copy(part.function)
            elif part.module is not None:
                layers[part.name] = network.get_submodule(part.module)
            else:
                layers[part.name] = GraphLayer(network, part.graph)
        return nn.Sequential(layers)

    def _with_points(self, network: nn.Module) -> nn.Module:
        """The network, changed: with the noise points that its graph calls, and those within modules of torch."""
        for path, calls in self._within_leaves.items():
            network.set_submodule(path, WithModulePoints(network.get_submodule(path), calls, within=path))
        network.add_module(POINTS, nn.ModuleList([NoisePoint(call.name) for call in self._calls]))
        return network


class _Tracer(fx.Tracer):
    """Tracer that leads the outputs of the selected calls through noise points.

    ``within_leaves`` has the selected calls within modules of torch that are not traced, by the path of the module.
    """

    def __init__(self, calls: Sequence[Call]) -> None:
        super().__init__()
        self.within_leaves: defaultdict[str, tuple[Call, ...]] = defaultdict(tuple)
        self._selected = calls
        self._points = {(call.module, call.number): index for index, call in enumerate(calls) if not call.adds}
        self._numbers: Counter[str] = Counter()

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, NoisePoint) or super().is_leaf_module(m, module_qualified_name)

    def call_module(self, m: nn.Module, forward: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        path = self.path_of_module(m)
        output = super().call_module(m, forward, args, kwargs)
        self._numbers[path] += 1
        if self.is_leaf_module(m, path):
            within = tuple(call for call in self._selected if call.module.startswith(f"{path}."))
            if within and self._numbers[path] > 1:
                raise UntraceableError(f"{path} is called more than once and has noise points within")
            if within:
                self.within_leaves[path] = within
        index = self._points.get((path, self._numbers[path]))
        if index is None:
            return output
        if isinstance(m, nn.MultiheadAttention | nn.RNNBase):
            return self.create_proxy("call_module", f"{POINTS}.{index}", (output[0],), {}), output[1]
        return self.create_proxy("call_module", f"{POINTS}.{index}", (output,), {})


class _Shapes(fx.Interpreter):
    """Interpreter that keeps the shape of every tensor, by node."""

    def __init__(self, network: nn.Module, graph: fx.Graph) -> None:
        super().__init__(network, graph=graph)
        self.of: dict[fx.Node, torch.Size] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if isinstance(value, Tensor):
            self.of[n] = value.shape
        elif n.op == "call_module" and isinstance(self.fetch_attr(str(n.target)), NoisePoint):
            raise UntraceableError("the input of a noise point is no tensor")
        return value


def _with_one_input(network: nn.Module) -> nn.Module:
    """The network, changed: its forward pass has one parameter, and the defaults of the others."""
    computes = type(network).forward
    network.__class__ = type(type(network).__name__, (type(network),), {"forward": lambda self, x: computes(self, x)})
    return network


def _add_sum_points(graph: fx.Graph, shapes: _Shapes, calls: Sequence[Call]) -> None:
    """Lead the selected sums of two activations of one shape through noise points."""
    selected = {(call.module, call.number): index for index, call in enumerate(calls) if call.adds}
    numbers: Counter[str] = Counter()
    for node in list(graph.nodes):
        terms = [one for one in node.args if isinstance(one, fx.Node)]
        if node.target not in SUMS or len(terms) != 2 or shapes.of.get(terms[0]) != shapes.of.get(terms[1], 0):
            continue
        running = [path for path, _ in node.meta.get("nn_module_stack", {}).values()]
        name = ".".join(filter(None, (*running[-1:], "sum")))
        numbers[name] += 1
        index = selected.get((name, numbers[name]))
        if index is not None:
            with graph.inserting_after(node):
                point = graph.call_module(f"{POINTS}.{index}")
            shapes.of[point] = shapes.of[node]
            node.replace_all_uses_with(point)
            point.args = (node,)


def _refuse_changes_in_place(graph: fx.Graph, network: nn.Module) -> None:
    """Raise :class:`UntraceableError` if a tensor that is changed in place is used elsewhere."""
    for node in graph.nodes:
        if node.op == "call_module":
            in_place = getattr(network.get_submodule(node.target), "inplace", False)
        else:
            name = node.target if node.op == "call_method" else getattr(node.target, "__name__", "")
            in_place = node.kwargs.get("inplace", False) or name.endswith("_") or node.target in IN_PLACE
        if in_place and not (node.users and _is_alone(node.all_input_nodes[0], network)):
            raise UntraceableError(f"{node.target} changes a tensor in place that is used again")


def _is_alone(value: fx.Node, network: nn.Module) -> bool:
    """Whether the memory of a value has no other user."""
    if value.op == "call_module":
        owns = not isinstance(network.get_submodule(str(value.target)), VIEWS)
    else:
        owns = value.target in OWN_MEMORY
    others = () if owns else value.all_input_nodes
    is_computed = value.op.startswith("call")
    return is_computed and len(value.users) == 1 and all(_is_alone(each, network) for each in others)


def _parts(graph: fx.Graph, network: nn.Module, shapes: _Shapes, samples: int) -> Iterator[_Part]:
    """The parts of a graph between the calls behind which a single tensor leads on."""
    (value,) = [node for node in graph.nodes if node.op == "placeholder" and node.users]
    calls = [node for node in graph.nodes if node.op.startswith("call")]
    last_use = {call: max(_positions(call.users, calls), default=-1) for call in [value, *calls]}
    inseparable = list(_inseparable(graph, calls, network))
    part: list[fx.Node] = []
    live = {value}
    for position, call in enumerate(calls):
        part.append(call)
        live = {each for each in (*live, call) if last_use[each] > position}
        if len(live) != 1 or any(first <= position < last for first, last in inseparable):
            continue
        (output,) = live
        if shapes.of.get(output, ())[:1] == (samples,):
            yield _part(position, part, value, output)
            part, value = [], output
    if part:
        raise UntraceableError("its output is not a single tensor with a row for each sample")


def _positions(users: Iterable[fx.Node], calls: Sequence[fx.Node]) -> Iterator[int]:
    return (len(calls) if user.op == "output" else calls.index(user) for user in users)


def _inseparable(graph: fx.Graph, calls: Sequence[fx.Node], network: nn.Module) -> Iterator[tuple[int, int]]:
    """First and last position of the calls that share parameters or buffers."""
    uses: defaultdict[int, list[int]] = defaultdict(list)  # by id of the tensor
    for node in graph.nodes:
        if node.op == "get_attr":
            uses[id(_attribute(network, node.target))] += _positions(node.users, calls)
        elif node.op == "call_module":
            module = network.get_submodule(node.target)
            for tensor in (*module.parameters(), *module.buffers()):
                uses[id(tensor)] += _positions([node], calls)
    return ((min(positions), max(positions)) for positions in uses.values() if positions)


def _attribute(network: nn.Module, path: str) -> Any:
    owner, _, name = path.rpartition(".")
    return getattr(network.get_submodule(owner), name)


def _part(position: int, calls: Sequence[fx.Node], value: fx.Node, output: fx.Node) -> _Part:
    graph = fx.Graph()
    copies = {value: graph.placeholder("x")}

    def copied(node: fx.Node) -> fx.Node:
        if node not in copies:
            copies[node] = graph.node_copy(node, copied)
        return copies[node]

    for call in calls:
        copied(call)
    graph.output(copied(output))
    call = calls[0]
    alone = len(calls) == 1 and output is call and call.args[:1] == (value,)
    if alone and call.op == "call_module" and len(call.args) == 1 and not call.kwargs:
        path = str(call.target)
        return _Part(f"/{position}/{path.replace('.', '/')}", graph, path, None)
    return _Part(f"/{position}/", graph, None, _module_like(call) if alone else None)


def _module_like(call: fx.Node) -> nn.Module | None:
    """The module that computes the same as the call of a function of one tensor, if it has a packed form."""
    if call.target in (torch.relu, F.relu, "relu", "relu_"):
        return nn.ReLU()
    if call.target in (torch.flatten, "flatten") and call.args[1:] == (1,) and not call.kwargs:
        return nn.Flatten()
    return None
