"""Layer of a network that is a part of its graph of calls."""

from __future__ import annotations

from typing import Any

from torch import Tensor, fx, nn


class GraphLayer(nn.Module):
    """A part of a network with one input and one output: a graph of calls of modules and functions.

    Modules, parameters and buffers have their names in the network.
    """

    def __init__(self, network: nn.Module, graph: fx.Graph) -> None:
        super().__init__()
        self.graph = graph
        for node in graph.nodes:
            if node.op in ("call_module", "get_attr"):
                _adopt(self, network, node.target)

    def modules_called(self) -> list[str]:
        """The paths of the modules that the graph calls, each once."""
        return list(dict.fromkeys(str(node.target) for node in self.graph.nodes if node.op == "call_module"))

    def shares_tensors(self) -> bool:
        """Whether a parameter or buffer has two names."""
        named = (self.named_parameters(remove_duplicate=False), self.named_buffers(remove_duplicate=False))
        tensors = [id(tensor) for each in named for _, tensor in each]
        return len(tensors) > len(set(tensors))

    def forward(self, x: Tensor) -> Any:
        return fx.Interpreter(self, graph=self.graph).run(x)


def _adopt(container: nn.Module, network: nn.Module, path: str) -> None:
    """Register a module, parameter or buffer of the network in the container, with the same path."""
    *owners, name = path.split(".")
    for each in owners:
        if each not in container._modules:
            container.add_module(each, nn.Module())
        container = container.get_submodule(each)
    owner = network.get_submodule(".".join(owners))
    if name in owner._buffers:
        container.register_buffer(name, owner.get_buffer(name))
    else:
        setattr(container, name, getattr(owner, name))
