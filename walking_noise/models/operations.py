"""Operations of a forward pass: those that a pack cannot run, those that move values, and multiply-accumulates."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

aten = torch.ops.aten

ATTENTION = aten._scaled_dot_product_flash_attention_for_cpu
"""Attention without dropout. It is tagged as random, since its relatives on a GPU are."""

COPIES = (aten.clone, aten._unsafe_view)
SUMS = (aten.add, aten.add_)


def check_operation(operation: Any) -> None:
    """Raise ValueError for an operation with which the numbers of a run would depend on its pack."""
    if torch.Tag.nondeterministic_seeded in operation.tags and operation.overloadpacket is not ATTENTION:
        fault = f"its forward pass draws random numbers ({operation.overloadpacket}), which would depend on the pack"
        raise ValueError(f"{fault}; remove dropout and other random layers")
    if not {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}.isdisjoint(operation.tags):
        fault = f"its forward pass depends on the values of a tensor ({operation.overloadpacket})"
        raise ValueError(f"{fault}; shapes and branches must be equal for all samples")


def moves_values(operation: Any) -> bool:
    """Whether the output has the values of the first argument in another shape or order."""
    return bool(operation.is_view) or operation.overloadpacket in COPIES


def terms(operation: Any, args: tuple[Any, ...]) -> tuple[Tensor, Tensor] | None:
    """The two tensors of one shape that an operation adds; None for other operations."""
    if operation.overloadpacket in SUMS and all(isinstance(term, Tensor) for term in args[:2]):
        first, second = args[:2]
        return (first, second) if first.shape == second.shape else None
    return None


def multiply_accumulates(operation: Any, args: tuple[Any, ...], result: Any) -> int:
    """The multiply-accumulates of a convolution, a matrix product or attention; 0 for other operations."""
    match operation.overloadpacket:
        case aten.convolution:
            x, weight, *_, transposed, _padding, _groups = args
            return int((x if transposed else result).numel() * weight[0].numel())
        case aten.mm | aten.bmm:
            return int(result.numel() * args[0].shape[-1])
        case aten.addmm | aten.baddbmm:
            return int(result.numel() * args[1].shape[-1])
        case _ if operation.overloadpacket is ATTENTION:
            queries, keys, _ = args[:3]
            return int((queries.numel() + result[0].numel()) * keys.shape[-2])
        case _:
            return 0
